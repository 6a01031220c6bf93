// INVEPT, INVVPID and VMFUNC (SDM vol. 3, 30.3, 28.3.3 and 25.5.6).

#include "core/system/semantics.h"
#include "core/virt/vmx/entry_checks.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {

bool Vmx::invept(const Record& r) {
  enum Type : u64 { single_context = 1, global = 2 };
  if ((capabilities_.ept_vpid & ept_vpid_cap::invept) == 0) return cpu_.raise(Vector::UD);
  if (!may_execute(r, Reason::Invept)) return false;
  const u64 type = cpu_.mode_sized_reg(r.reg);
  if (type != single_context && type != global) return fail(InstructionError::InvalidInvalidation);
  std::array<u64, 2> descriptor{};
  if (!semantics::load_invalidation_descriptor(cpu_, r, descriptor)) return false;
  const u64 root = descriptor[0] & eptp::root;
  if (type == single_context && !is_eptp(descriptor[0], capabilities_))
    return fail(InstructionError::InvalidInvalidation);
  const auto concerns = [=](u16, u64 of) { return of != GuestTags::no_root && (type == global || of == root); };
  tags_.flush_if(concerns, [this](u32 tag) { cpu_.mmu.flush_guest_linear(tag); });
  if (type == global)
    cpu_.mmu.flush_second_stages();
  else
    cpu_.mmu.flush_second_stage(root);
  cpu_.observation.note(Transition::InvEpt);
  return succeed();
}

bool Vmx::invvpid(const Record& r) {
  enum Type : u64 { address = 0, single_context = 1, all_contexts = 2, single_keeping_globals = 3 };
  if ((capabilities_.ept_vpid & ept_vpid_cap::invvpid) == 0) return cpu_.raise(Vector::UD);
  if (!may_execute(r, Reason::Invvpid)) return false;
  const u64 type = cpu_.mode_sized_reg(r.reg);
  if (type > single_keeping_globals) return fail(InstructionError::InvalidInvalidation);
  std::array<u64, 2> descriptor{};
  if (!semantics::load_invalidation_descriptor(cpu_, r, descriptor)) return false;
  const auto vpid = static_cast<u16>(descriptor[0]);
  const u64 linear = descriptor[1];
  if (descriptor[0] >> 16 != 0 || (type != all_contexts && vpid == 0) ||
      (type == address && !is_canonical(linear, cpu_.profile.linear_bits())))
    return fail(InstructionError::InvalidInvalidation);
  const auto concerns = [=](u16 of, u64) { return of != 0 && (type == all_contexts || of == vpid); };
  tags_.flush_if(concerns, [this, type, linear](u32 tag) {
    if (type == address)
      cpu_.mmu.flush_guest_page(tag, Linear(linear));
    else if (type == single_keeping_globals)
      cpu_.mmu.flush_guest_non_global(tag);
    else
      cpu_.mmu.flush_guest_linear(tag);
  });
  cpu_.observation.note(Transition::InvVpid);
  return succeed();
}

bool Vmx::vmfunc(const Record& r) {
  if (!in_guest() || !c_.also(secondary::vm_functions)) return cpu_.raise(Vector::UD);
  const u32 function = cpu_.reg<u32>(RAX * 8);
  const u32 entry = cpu_.reg<u32>(RCX * 8);
  if (function >= 64) return cpu_.raise(Vector::UD);
  constexpr u32 list_entries = 512;
  const auto refuse = [&] { return !exit_with({.reason = Reason::Vmfunc, .instruction_length = r.length}); };
  if ((c_.vm_functions >> function & 1) == 0 || entry >= list_entries) return refuse();
  const u64 value = read_physical<u64>(cpu_, HostPhysical(c_.eptp_list + entry * u64{8}));
  if (!is_eptp(value, capabilities_)) return refuse();
  c_.ept_pointer = value;
  current().write(Field::EptPointer, value);
  if (c_.also(secondary::virtualization_exception)) current().write(Field::EptpIndex, entry);
  load_translation();
  return true;
}

}  // namespace bunshin::vmx
