// The VMX instructions (SDM vol. 3, ch. 30), VM entry and VMFUNC apart.

#include "core/virt/vmx/entry_checks.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

/// Every VMX instruction is undefined here.
bool undefined_mode(const CpuState& s) {
  return !s.protected_mode() || s.v86() || (s.long_mode_active() && !s.segment(Seg::CS).is_long());
}

u64 operand_mask(const Cpu& cpu) { return cpu.mode.bits == 64 ? ~u64{0} : 0xffff'ffff; }

}  // namespace

bool Vmx::succeed() {
  cpu_.state.flags.set_status(0);
  return true;
}

bool Vmx::fail_invalid() {
  cpu_.state.flags.set_status(rflags::CF);
  return true;
}

/// VMfail: VMfailValid if there is a current VMCS.
bool Vmx::fail(InstructionError error) {
  if (current_vmcs_ == no_vmcs) return fail_invalid();
  current().write(Field::InstructionError, static_cast<u32>(error));
  cpu_.state.flags.set_status(rflags::ZF);
  return true;
}

bool Vmx::exits_as_instruction(const Record& r, Reason reason) {
  if (!in_guest()) return false;
  ExitInformation exit{.reason = reason, .qualification = displacement(cpu_, r), .instruction_length = r.length};
  switch (reason) {
    case Reason::Vmread:
    case Reason::Vmwrite: exit.instruction_information = field_information(r); break;
    case Reason::Invept:
    case Reason::Invvpid: exit.instruction_information = invalidation_information(r); break;
    case Reason::Vmclear:
    case Reason::Vmptrld:
    case Reason::Vmptrst:
    case Reason::Vmxon: exit.instruction_information = pointer_information(r); break;
    default: break;
  }
  return exit_with(exit);
}

bool Vmx::may_execute(const Record& r, Reason reason) {
  if (!in_operation_ || undefined_mode(cpu_.state)) return cpu_.raise(Vector::UD);
  if (exits_as_instruction(r, reason)) return false;
  return cpu_.state.cpl == 0 || cpu_.raise(Vector::GP, 0);
}

bool Vmx::load_pointer(const Record& r, u64& value) { return cpu_.load(r, value); }

bool Vmx::vmxon(const Record& r) {
  CpuState& s = cpu_.state;
  if (undefined_mode(s) || (s.cr4 & cr4::VMXE) == 0) return cpu_.raise(Vector::UD);
  if (!in_operation_) {
    const bool cr0_ok = (s.cr0 & capabilities_.cr0_fixed0) == capabilities_.cr0_fixed0;
    const bool cr4_ok = (s.cr4 & capabilities_.cr4_fixed0) == capabilities_.cr4_fixed0;
    if (s.cpl != 0 || !cr0_ok || !cr4_ok) return cpu_.raise(Vector::GP, 0);
  } else {
    if (exits_as_instruction(r, Reason::Vmxon)) return false;
    if (s.cpl != 0) return cpu_.raise(Vector::GP, 0);
    return fail(InstructionError::VmxonInRoot);
  }
  u64 address = 0;
  if (!load_pointer(r, address)) return false;
  if (!is_region(address) || Vmcs(cpu_, address).revision() != capabilities_.revision()) return fail_invalid();
  in_operation_ = true;
  vmxon_pointer_ = address;
  current_vmcs_ = no_vmcs;
  cpu_.disarm_monitor();
  cpu_.observation.note(Transition::Other);
  return succeed();
}

bool Vmx::vmxoff(const Record& r) {
  if (!may_execute(r, Reason::Vmxoff)) return false;
  in_operation_ = false;
  current_vmcs_ = no_vmcs;
  cpu_.observation.note(Transition::Other);
  return succeed();
}

bool Vmx::vmclear(const Record& r) {
  u64 address = 0;
  if (!may_execute(r, Reason::Vmclear) || !load_pointer(r, address)) return false;
  if (!is_region(address)) return fail(InstructionError::VmclearAddress);
  if (address == vmxon_pointer_) return fail(InstructionError::VmclearVmxonPointer);
  Vmcs(cpu_, address).write_launch_state(LaunchState::Clear);
  if (address == current_vmcs_) current_vmcs_ = no_vmcs;
  cpu_.observation.note(Transition::VmClear);
  return succeed();
}

bool Vmx::vmptrld(const Record& r) {
  u64 address = 0;
  if (!may_execute(r, Reason::Vmptrld) || !load_pointer(r, address)) return false;
  if (!is_region(address)) return fail(InstructionError::VmptrldAddress);
  if (address == vmxon_pointer_) return fail(InstructionError::VmptrldVmxonPointer);
  const u32 revision = Vmcs(cpu_, address).revision();
  const bool shadows = (capabilities_.secondary.may & secondary::shadow_vmcs) != 0;
  const u32 allowed = capabilities_.revision() | (shadows ? revision & shadow_indicator : 0);
  if (revision != allowed) return fail(InstructionError::VmptrldRevision);
  current_vmcs_ = address;
  cpu_.observation.note(Transition::VmPtrld);
  return succeed();
}

bool Vmx::vmptrst(const Record& r) {
  if (!may_execute(r, Reason::Vmptrst) || !cpu_.store(r, current_vmcs_)) return false;
  cpu_.observation.note(Transition::Other);
  return succeed();
}

bool Vmx::select_vmcs(const Record& r, Reason reason, u64 encoding, u64 bitmap, u64& address, bool& done) {
  done = false;
  if (!in_operation_ || undefined_mode(cpu_.state)) return cpu_.raise(Vector::UD);
  if (!in_guest()) {
    if (cpu_.state.cpl != 0) return cpu_.raise(Vector::GP, 0);
    address = current_vmcs_;
  } else {
    // VMCS shadowing (25.1.3): the bitmaps say which fields of the linked VMCS the guest reaches.
    constexpr u64 covered = 0x7fff;
    const bool shadowed = c_.also(secondary::shadow_vmcs) && (encoding & ~covered) == 0 &&
                          (read_physical<u8>(cpu_, HostPhysical(bitmap + encoding / 8)) >> (encoding & 7) & 1) == 0;
    if (!shadowed) {
      exits_as_instruction(r, reason);
      return false;
    }
    if (cpu_.state.cpl != 0) return cpu_.raise(Vector::GP, 0);
    address = link_pointer_;
  }
  if (address == no_vmcs) {
    done = true;
    return fail_invalid();
  }
  return true;
}

/// VMREAD's operation, without its checks of mode and privilege.
bool Vmx::read_field(const Record& r, Vmcs vmcs, u64 encoding) {
  FieldOperand operand;
  if (!decode_field(cpu_.profile, encoding, operand)) return fail(InstructionError::UnsupportedField);
  u64 value = vmcs.read(operand.field) >> (operand.high ? 32 : 0);
  value &= operand_mask(cpu_);
  if (!r.has_memory()) {
    cpu_.set_reg(r.rm, value);
    return succeed();
  }
  const bool stored = cpu_.mode.bits == 64 ? cpu_.store(r, value) : cpu_.store(r, static_cast<u32>(value));
  return stored && succeed();
}

bool Vmx::write_field(const Record& r, Vmcs vmcs, u64 encoding) {
  u64 value = 0;
  if (!r.has_memory()) {
    value = cpu_.mode_sized_reg(r.rm);
  } else if (cpu_.mode.bits == 64) {
    if (!cpu_.load(r, value)) return false;
  } else {
    u32 narrow = 0;
    if (!cpu_.load(r, narrow)) return false;
    value = narrow;
  }
  FieldOperand operand;
  if (!decode_field(cpu_.profile, encoding, operand)) return fail(InstructionError::UnsupportedField);
  if (kind_of(operand.field) == FieldKind::ReadOnly && !capabilities_.writes_read_only_fields())
    return fail(InstructionError::ReadOnlyField);
  if (operand.high) value = (vmcs.read(operand.field) & 0xffff'ffff) | value << 32;
  vmcs.write(operand.field, value);
  return succeed();
}

bool Vmx::vmread(const Record& r) {
  const u64 encoding = cpu_.mode_sized_reg(r.reg);
  u64 address = 0;
  bool done = false;
  if (!select_vmcs(r, Reason::Vmread, encoding, c_.vmread_bitmap, address, done)) return false;
  cpu_.observation.note(Transition::VmRead);
  return done || read_field(r, Vmcs(cpu_, address), encoding);
}

bool Vmx::vmwrite(const Record& r) {
  const u64 encoding = cpu_.mode_sized_reg(r.reg);
  u64 address = 0;
  bool done = false;
  if (!select_vmcs(r, Reason::Vmwrite, encoding, c_.vmwrite_bitmap, address, done)) return false;
  cpu_.observation.note(Transition::VmWrite);
  return done || write_field(r, Vmcs(cpu_, address), encoding);
}

bool Vmx::vmcall(const Record& r) {
  if (!in_operation_) return cpu_.raise(Vector::UD);
  if (exits_as_instruction(r, Reason::Vmcall)) return false;
  if (undefined_mode(cpu_.state)) return cpu_.raise(Vector::UD);
  if (cpu_.state.cpl != 0) return cpu_.raise(Vector::GP, 0);
  // There is no SMM monitor to call.
  return fail(InstructionError::VmcallInRoot);
}

bool Vmx::enter(const Record& r, bool launch) {
  if (!may_execute(r, launch ? Reason::Vmlaunch : Reason::Vmresume)) return false;
  if (current_vmcs_ == no_vmcs || current().is_shadow()) return fail_invalid();
  if (cpu_.behind_mov_ss) return fail(InstructionError::BlockedByMovSs);
  const LaunchState wanted = launch ? LaunchState::Clear : LaunchState::Launched;
  if (current().launch_state() != wanted)
    return fail(launch ? InstructionError::LaunchNotClear : InstructionError::ResumeNotLaunched);
  return check_and_enter(current(), launch);
}

bool Vmx::vmlaunch(const Record& r) { return enter(r, true); }
bool Vmx::vmresume(const Record& r) { return enter(r, false); }

}  // namespace bunshin::vmx
