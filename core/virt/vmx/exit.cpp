// VM exits (SDM vol. 3, ch. 27): recording information, saving guest state, loading host state, VMX aborts.

#include "core/events/debug.h"
#include "core/events/delivery.h"
#include "core/virt/vmx/entry_checks.h"
#include "core/virt/vmx/exit_reasons.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {
namespace {

/// Exit qualification of an APIC access, bits 15:12 (table 27-6): event delivery.
constexpr u64 during_delivery = 3u << 12;

/// The length is not known where these are found.
bool found_in_instruction(Reason reason) {
  return reason == Reason::TaskSwitch || reason == Reason::ApicAccess || reason == Reason::EptViolation ||
         reason == Reason::EptMisconfiguration || reason == Reason::PmlFull;
}

/// VMX-abort indicators (27.7).
enum Abort : u32 { storing_msrs = 1, host_pdptes = 2, loading_msrs = 4 };

}  // namespace

bool Vmx::exit_with(ExitInformation exit) {
  pending_ = exit;
  cpu_.raise(Fault::intercepted());
  return true;
}

/// Tables 28-7 (EPT violations) and 27.2.1.
ExitInformation Vmx::second_stage_exit(const Fault& why, const Event* delivering) const {
  const SecondStageFault& f = stage_.fault();
  ExitInformation exit;
  exit.physical = f.address.value;
  exit.linear = why.linear;
  switch (f.cause) {
    case SecondStageFault::Cause::EptMisconfiguration: exit.reason = Reason::EptMisconfiguration; break;
    case SecondStageFault::Cause::PageModificationLogFull:
      exit.reason = Reason::PmlFull;
      exit.sets_rf = delivering == nullptr;
      break;
    default:
      exit.reason = Reason::EptViolation;
      exit.qualification = f.qualification;
      exit.sets_rf = delivering == nullptr;
      break;
  }
  return exit;
}

/// 25.5.7: an EPT violation that the guest is told of itself. False: it is an exit.
bool Vmx::deliver_virtualization_exception(const Fault& why, const ExitInformation& exit) {
  const SecondStageFault& f = stage_.fault();
  if (exit.reason != Reason::EptViolation || !c_.also(secondary::virtualization_exception) || f.suppresses_exception ||
      !cpu_.state.protected_mode())
    return false;
  constexpr u32 busy = 0xffff'ffff;
  const HostPhysical area(c_.ve_information);
  if (read_physical<u32>(cpu_, area + 4) != 0) return false;
  struct Information {
    u32 reason, busy;
    u64 qualification, linear, physical;
    u16 eptp_index;
  };
  write_physical(cpu_, area, static_cast<u32>(exit.reason));
  write_physical(cpu_, area + 4, busy);
  write_physical(cpu_, area + offsetof(Information, qualification), exit.qualification);
  write_physical(cpu_, area + offsetof(Information, linear), why.linear);
  write_physical(cpu_, area + offsetof(Information, physical), f.address.value);
  write_physical(cpu_, area + offsetof(Information, eptp_index), static_cast<u16>(current().read(Field::EptpIndex)));
  deliver_exception(cpu_, Fault::plain(Vector::VE));
  return true;
}

void Vmx::leave_guest(const Fault& why, const Event* delivering) {
  std::optional<Event> vectoring = take_interrupted();
  if (delivering != nullptr) vectoring = *delivering;
  ExitInformation exit;
  const bool in_instruction = why.exit == GuestExit::SecondStage || pending_;
  if (why.exit == GuestExit::SecondStage) {
    exit = second_stage_exit(why, delivering);
    if (!vectoring && deliver_virtualization_exception(why, exit)) return;
  } else if (pending_) {
    exit = *pending_;
  } else if (cpu_.guest != nullptr) {
    exit = due_exit();
  }
  if (vectoring && exit.reason == Reason::ApicAccess) exit.qualification |= during_delivery;
  if (in_instruction && !vectoring && exit.instruction_length == 0 && found_in_instruction(exit.reason))
    exit.instruction_length = cpu_.left_length;
  world_switch(exit, vectoring);
}

void Vmx::world_switch(ExitInformation exit, const std::optional<Event>& vectoring) {
  // 27.1: NMIs were unblocked by an IRET that then faulted.
  if (cpu_.completed() + 1 == unblocking_iret_) {
    constexpr u64 violation_nmi_unblocking = 1u << 12;
    if (exit.reason == Reason::ExceptionOrNmi && (exit.interruption & 0xff) != static_cast<u8>(Vector::DF))
      exit.interruption |= interruption::nmi_unblocking;
    if (exit.reason == Reason::EptViolation || exit.reason == Reason::PmlFull)
      exit.qualification |= violation_nmi_unblocking;
  }
  Vmcs vmcs = current();
  const u64 rip = cpu_.state.rip;
  write_exit_information(vmcs, exit, vectoring);
  save_guest(vmcs, exit);
  pending_.reset();
  trap_exit_.reset();
  injected_.reset();
  monitor_trap_ = MonitorTrap::Off;
  if (!store_msrs(vmcs.read(Field::ExitMsrStoreAddress), vmcs.read32(Field::ExitMsrStoreCount))) {
    abort(vmcs, storing_msrs);
  } else {
    load_host(vmcs);
  }
  const auto reason = static_cast<u32>(exit.reason);
  const u32 cause = exit.reason == Reason::ExceptionOrNmi ? exception_cause(exit.interruption & 0xff) : reason;
  left_guest({reason, exit.qualification, exit.physical.value_or(0), rip, cause, {}});
  cpu_.accessed_device = true;
}

/// 27.2, and the VM-entry interruption information that is not to be injected again.
void Vmx::write_exit_information(Vmcs vmcs, const ExitInformation& exit, const std::optional<Event>& vectoring) {
  vmcs.write(Field::ExitReason, static_cast<u32>(exit.reason));
  vmcs.write(Field::ExitQualification, exit.qualification);
  vmcs.write(Field::ExitInterruption, exit.interruption);
  if ((exit.interruption & interruption::error_code) != 0) vmcs.write(Field::ExitErrorCode, exit.error_code);
  if (exit.linear) vmcs.write(Field::GuestLinearAddress, *exit.linear);
  if (exit.physical) vmcs.write(Field::GuestPhysicalAddress, *exit.physical);
  u32 length = exit.instruction_length;
  u32 information = 0;
  if (vectoring) {
    information = interruption_information(*vectoring);
    if (vectoring->has_error_code) vmcs.write(Field::IdtVectoringErrorCode, vectoring->error_code);
    if (vectoring->by_instruction()) length = vectoring->instruction_length;
  }
  vmcs.write(Field::IdtVectoring, information);
  vmcs.write(Field::ExitInstructionLength, length);
  vmcs.write(Field::ExitInstructionInformation, exit.instruction_information);
  const u32 injection = vmcs.read32(Field::EntryInterruption);
  if ((injection & interruption::valid) != 0) vmcs.write(Field::EntryInterruption, injection & ~interruption::valid);
}

/// 27.7: the processor stops until it is reset.
void Vmx::abort(Vmcs vmcs, u32 indicator) {
  vmcs.write_abort(indicator);
  cpu_.guest = nullptr;
  cpu_.event_gate = nullptr;
  translate_for_host();
  cpu_.state.activity = Activity::Shutdown;
  cpu_.leave = Leave::None;
  cpu_.update_mode();
}

/// 27.5 and 27.6.
void Vmx::load_host(Vmcs vmcs) {
  CpuState& s = cpu_.state;
  s.cr0 = (s.cr0 & cr0_kept) | (vmcs.read(Field::HostCr0) & ~cr0_kept);
  s.cr3 = vmcs.read(Field::HostCr3);
  s.cr4 = vmcs.read(Field::HostCr4) & capabilities_.cr4_fixed1;
  const bool long_mode = c_.on_exit(exit_control::host_address_space);
  if (long_mode) s.cr4 |= cr4::PAE;
  constexpr u64 modes = efer::LME | efer::LMA;
  s.msr.efer = (s.msr.efer & ~modes) | (long_mode ? modes : 0);
  if (c_.on_exit(exit_control::load_efer)) s.msr.efer = vmcs.read(Field::HostEfer);
  if (c_.on_exit(exit_control::load_pat)) s.msr.pat = vmcs.read(Field::HostPat);
  s.dr[7] = dr7::fixed;
  s.msr.debugctl = 0;
  s.msr.sysenter_cs = vmcs.read(Field::HostSysenterCs);
  s.msr.sysenter_esp = vmcs.read(Field::HostSysenterEsp);
  s.msr.sysenter_eip = vmcs.read(Field::HostSysenterEip);
  load_host_segments(vmcs);
  s.gpr[RSP] = vmcs.read(Field::HostRsp);
  s.rip = vmcs.read(Field::HostRip);
  s.flags.set_value(rflags::fixed);
  s.cpl = 0;
  s.activity = Activity::Active;
  s.interrupt_shadow = s.debug_shadow = false;
  s.pending_debug = 0;
  load_host_translation();
  if (s.paging() && !s.long_mode_active() && (s.cr4 & cr4::PAE) != 0 && !cpu_.mmu.load_pdptes(s.cr3, s.pdpte)) {
    abort(vmcs, host_pdptes);
    return;
  }
  if (load_msrs(vmcs.read(Field::ExitMsrLoadAddress), vmcs.read32(Field::ExitMsrLoadCount)) != 0) {
    abort(vmcs, loading_msrs);
    return;
  }
  cpu_.leave = Leave::None;
}

/// 27.5.2 and 27.5.3.
void Vmx::load_host_segments(Vmcs vmcs) {
  CpuState& s = cpu_.state;
  constexpr u32 flat = Segment::present | Segment::code_or_data | Segment::granularity;
  const bool long_mode = c_.on_exit(exit_control::host_address_space);
  for (unsigned i = 0; i < 6; ++i) {
    const auto selector = static_cast<u16>(vmcs.read(Field::HostEs + i));
    s.seg[i] = {selector, flat | Segment::big | 3, 0xffff'ffff, 0};
    if (selector == 0) s.seg[i].attributes |= Segment::null;
  }
  s.segment(Seg::CS).attributes = flat | 0xb | (long_mode ? Segment::long_mode : Segment::big);
  s.segment(Seg::FS).base = vmcs.read(Field::HostFsBase);
  s.segment(Seg::GS).base = vmcs.read(Field::HostGsBase);
  s.tr = {static_cast<u16>(vmcs.read(Field::HostTr)), Segment::present | 0xb, 0x67, vmcs.read(Field::HostTrBase)};
  s.ldtr = {0, Segment::null, 0, 0};
  s.gdtr = {vmcs.read(Field::HostGdtrBase), 0xffff};
  s.idtr = {vmcs.read(Field::HostIdtrBase), 0xffff};
}

void Vmx::load_host_translation() {
  if (!c_.also(secondary::vpid)) {
    if (cpu_.guest_tag != 0) cpu_.mmu.flush_guest_linear(cpu_.guest_tag);
    cpu_.mmu.flush_guest_linear(0);
  }
  tags_.note_flushes();
  cpu_.guest = nullptr;
  cpu_.event_gate = nullptr;
  translate_for_host();
  cpu_.update_mode();
}

}  // namespace bunshin::vmx
