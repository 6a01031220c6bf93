#include "core/virt/svm/instructions.h"

#include "core/system/semantics.h"
#include "core/virt/physical_access.h"
#include "core/virt/svm/state.h"
#include "core/virt/svm/svm.h"

namespace bunshin {

namespace svm {

/// A guest's own VMLOAD and VMSAVE, where they need not exit, address guest-physical memory (VMSAVE and VMLOAD virtualization).
bool Svm::locate_own_operand(u64 address, bool write, HostPhysical& out) {
  out = HostPhysical(address);
  const bool is_virtual = running() && nested_paging() && has_feature(Feature::VVmsaveVmload) &&
                          (vmcb_.control.virtual_control & virtual_vmload) != 0;
  if (!is_virtual) return true;
  const auto access = write ? SecondStageAccess::Write : SecondStageAccess::Read;
  const SecondStageResult stage = stage_.translate(GuestPhysical(address), access);
  if (stage.faulted) return cpu_.raise(Fault::second_stage(0));
  out = stage.address;
  return true;
}

namespace {

/// The two runs of fields that VMLOAD and VMSAVE know: FS, GS, LDTR, TR, and STAR to SYSENTER_EIP.
template <class Transfer>
void for_hidden_fields(VmcbSave& save, Transfer transfer) {
  const auto piece = [&](u64 offset, u64 bytes) {
    transfer(offset, std::span<u8>(reinterpret_cast<u8*>(&save) + (offset - save_area), bytes));
  };
  piece(0x440, 0x20);
  piece(0x470, 0x10);
  piece(0x490, 0x10);
  piece(0x600, 0x40);
}

}  // namespace

bool Svm::vmload(u64 address) {
  HostPhysical at;
  if (!locate_own_operand(address, false, at)) return false;
  VmcbSave save{};
  for_hidden_fields(save, [&](u64 offset, std::span<u8> bytes) { read_physical(cpu_, at + offset, bytes); });
  load_hidden_state(cpu_.state, save, cpu_.profile.linear_bits());
  cpu_.observation.note(Transition::VmLoad);
  return true;
}

bool Svm::vmsave(u64 address) {
  HostPhysical at;
  if (!locate_own_operand(address, true, at)) return false;
  VmcbSave save{};
  save_hidden_state(cpu_.state, save);
  for_hidden_fields(
      save, [&](u64 offset, std::span<u8> bytes) { write_physical(cpu_, at + offset, std::span<const u8>(bytes)); });
  cpu_.observation.note(Transition::VmSave);
  return true;
}

/// 15.27: a flat 32-bit protected mode in which nothing disturbs the loader, whose entry point its first word tells.
void Svm::skinit(u32 loader) {
  constexpr u32 flat = Segment::present | Segment::big | Segment::granularity | Segment::code_or_data;
  constexpr u32 writable_data = 3, readable_code = 0xb;
  constexpr u64 loader_bytes = 0x1'0000;
  CpuState& s = cpu_.state;
  const u16 entry = read_physical<u16>(cpu_, HostPhysical(loader));
  cpu_.observation.note(Transition::Other);
  registers_.vm_cr |= vm_cr::redirect_init | vm_cr::disable_a20 | vm_cr::debug_port_disable;
  s.gpr.fill(0);
  s.gpr[RAX] = loader;
  s.gpr[RDX] = cpu_.profile.signature();
  s.gpr[RSP] = loader + loader_bytes;
  s.seg.fill({0x10, flat | writable_data, 0xffff'ffff, 0});
  s.segment(Seg::CS) = {0x08, flat | readable_code, 0xffff'ffff, 0};
  s.segment(Seg::SS).selector = 0x10;
  s.cr0 = (s.cr0 & (cr0::CD | cr0::NW)) | cr0::ET | cr0::PE;
  s.cr4 = 0;
  s.msr.efer &= efer::SVME;
  s.dr[7] = 0x400;
  s.flags.set_value(rflags::fixed);
  s.cpl = 0;
  s.rip = loader + entry;
  set_global_interrupts(false);
  cpu_.mmu.flush_all();
  cpu_.update_mode();
}

}  // namespace svm

namespace semantics {

namespace {

svm::Svm& svm_of(Cpu& cpu) { return static_cast<svm::Svm&>(*cpu.virt); }

bool enabled(Cpu& cpu) { return (cpu.state.msr.efer & efer::SVME) != 0; }

/// #UD before #GP: the instructions do not exist where SVM is off or the mode is not protected (APM vol. 3, VMRUN).
bool may_execute(Cpu& cpu, bool exists) {
  if (!exists || !cpu.mode.protected_mode) return cpu.raise(Vector::UD);
  return cpu.state.cpl == 0 || cpu.raise(Vector::GP, 0);
}

/// The physical address in rAX, of the width of an address.
bool address_operand(Cpu& cpu, const Record& r, u64& address) {
  address = cpu.reg<u64>(offset_of(RAX)) & (~u64{0} >> (64 - 8 * r.address_bytes()));
  const bool legal = (address & (page_size - 1)) == 0 && address >> cpu.profile.physical_bits == 0;
  return legal || cpu.raise(Vector::GP, 0);
}

}  // namespace

bool vmrun(Cpu& cpu, const Record& r) {
  u64 address = 0;
  if (!may_execute(cpu, enabled(cpu)) || svm_of(cpu).intercepts_own(r, svm::ExitCode::Vmrun)) return false;
  if (!address_operand(cpu, r, address)) return false;
  svm_of(cpu).vmrun(address);
  return true;
}

bool vmload(Cpu& cpu, const Record& r) {
  u64 address = 0;
  if (!may_execute(cpu, enabled(cpu)) || svm_of(cpu).intercepts_own(r, svm::ExitCode::Vmload)) return false;
  return address_operand(cpu, r, address) && svm_of(cpu).vmload(address);
}

bool vmsave(Cpu& cpu, const Record& r) {
  u64 address = 0;
  if (!may_execute(cpu, enabled(cpu)) || svm_of(cpu).intercepts_own(r, svm::ExitCode::Vmsave)) return false;
  return address_operand(cpu, r, address) && svm_of(cpu).vmsave(address);
}

/// Does nothing but leave a guest that is made to (15.32).
bool vmmcall(Cpu& cpu, const Record& r) {
  return (!enabled(cpu) || !svm_of(cpu).intercepts_own(r, svm::ExitCode::Vmmcall)) && cpu.raise(Vector::UD);
}

bool stgi(Cpu& cpu, const Record& r) {
  if (!may_execute(cpu, enabled(cpu) || cpu.profile.has(Feature::Skinit))) return false;
  if (svm_of(cpu).intercepts_own(r, svm::ExitCode::Stgi)) return false;
  svm_of(cpu).set_global_interrupts(true);
  cpu.observation.note(Transition::Stgi);
  return true;
}

bool clgi(Cpu& cpu, const Record& r) {
  if (!may_execute(cpu, enabled(cpu)) || svm_of(cpu).intercepts_own(r, svm::ExitCode::Clgi)) return false;
  svm_of(cpu).set_global_interrupts(false);
  cpu.observation.note(Transition::Clgi);
  return true;
}

/// The page at rAX in the address space ECX, global or not.
bool invlpga(Cpu& cpu, const Record& r) {
  if (!may_execute(cpu, enabled(cpu)) || svm_of(cpu).intercepts_own(r, svm::ExitCode::Invlpga)) return false;
  const u64 linear = cpu.reg<u64>(offset_of(RAX)) & (~u64{0} >> (64 - 8 * r.address_bytes()));
  cpu.observation.note(Transition::InvLpga);
  cpu.mmu.flush_guest_page(cpu.reg<u32>(offset_of(RCX)), Linear(linear));
  return true;
}

bool skinit(Cpu& cpu, const Record& r) {
  if (!may_execute(cpu, enabled(cpu) || cpu.profile.has(Feature::Skinit))) return false;
  if (svm_of(cpu).intercepts_own(r, svm::ExitCode::Skinit)) return false;
  constexpr u32 loader_alignment = 0xffff;
  svm_of(cpu).skinit(cpu.reg<u32>(offset_of(RAX)) & ~loader_alignment);
  return true;
}

}  // namespace semantics
}  // namespace bunshin
