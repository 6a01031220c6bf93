// Saving guest state (SDM vol. 3, 27.3).

#include "core/events/debug.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {

void Vmx::save_guest(Vmcs vmcs, const ExitInformation& exit) {
  const CpuState& s = cpu_.state;
  vmcs.write(Field::GuestCr0, s.cr0);
  vmcs.write(Field::GuestCr3, s.cr3);
  vmcs.write(Field::GuestCr4, s.cr4);
  if (c_.on_exit(exit_control::save_debug)) {
    vmcs.write(Field::GuestDr7, s.dr[7]);
    vmcs.write(Field::GuestDebugctl, s.msr.debugctl);
  }
  vmcs.write(Field::GuestSysenterCs, s.msr.sysenter_cs);
  vmcs.write(Field::GuestSysenterEsp, s.msr.sysenter_esp);
  vmcs.write(Field::GuestSysenterEip, s.msr.sysenter_eip);
  if (c_.on_exit(exit_control::save_pat)) vmcs.write(Field::GuestPat, s.msr.pat);
  if (c_.on_exit(exit_control::save_efer)) vmcs.write(Field::GuestEfer, s.msr.efer);
  // IA32_VMX_MISC bit 5: the guest may have changed modes by itself.
  if (c_.also(secondary::unrestricted_guest)) {
    const u32 mode = s.long_mode_active() ? entry_control::ia32e_guest : 0;
    vmcs.write(Field::EntryControls, (c_.entry & ~entry_control::ia32e_guest) | mode);
  }
  save_segments(vmcs);
  vmcs.write(Field::GuestRsp, s.gpr[RSP]);
  vmcs.write(Field::GuestRip, s.rip);
  vmcs.write(Field::GuestRflags, s.flags.value() | (exit.sets_rf ? rflags::RF : 0));
  save_non_register_state(vmcs, exit);
}

void Vmx::save_segments(Vmcs vmcs) {
  const CpuState& s = cpu_.state;
  for (unsigned i = 0; i < 8; ++i) {
    const Segment& segment = i < 6 ? s.seg[i] : i == 6 ? s.ldtr : s.tr;
    vmcs.write(Field::GuestEs + i, segment.selector);
    vmcs.write(Field::GuestEsBase + i, segment.base);
    vmcs.write(Field::GuestEsLimit + i, segment.limit);
    u32 rights = segment.attributes;
    // SS's DPL is the CPL, whatever the register was loaded with (27.3.2).
    if (i == static_cast<unsigned>(Seg::SS)) rights = (rights & ~0x60u) | u32{s.cpl} << 5;
    vmcs.write(Field::GuestEsRights + i, rights);
  }
  vmcs.write(Field::GuestGdtrBase, s.gdtr.base);
  vmcs.write(Field::GuestGdtrLimit, s.gdtr.limit);
  vmcs.write(Field::GuestIdtrBase, s.idtr.base);
  vmcs.write(Field::GuestIdtrLimit, s.idtr.limit);
}

void Vmx::save_non_register_state(Vmcs vmcs, const ExitInformation& exit) {
  const CpuState& s = cpu_.state;
  ActivityField activity = ActivityField::Active;
  if (s.activity == Activity::Halted) activity = ActivityField::Hlt;
  if (s.activity == Activity::Shutdown) activity = ActivityField::Shutdown;
  if (s.activity == Activity::WaitForSipi) activity = ActivityField::WaitForSipi;
  vmcs.write(Field::GuestActivity, static_cast<u32>(activity));
  u32 blocking = 0;
  const bool mov_ss = s.debug_shadow || cpu_.behind_mov_ss;
  if (s.interrupt_shadow) blocking |= mov_ss ? interruptibility::mov_ss : interruptibility::sti;
  if (c_.has_pin(pin::virtual_nmis) ? virtual_nmi_blocked_ : s.nmi_blocked) blocking |= interruptibility::nmi;
  vmcs.write(Field::GuestInterruptibility, blocking);
  constexpr u64 enabled_breakpoint = 1u << 12;
  u64 debug = exit.keeps_debug || mov_ss ? s.pending_debug & (dr6::breakpoints | dr6::BS) : 0;
  // Behind a shadow the step is pending exactly if RFLAGS.TF makes it so: the next entry checks that (26.3.1.5).
  const bool steps = (s.flags.system & rflags::TF) != 0 && (s.msr.debugctl & debugctl::BTF) == 0;
  if (s.interrupt_shadow) debug = (debug & ~dr6::BS) | (steps ? dr6::BS : 0);
  vmcs.write(Field::GuestPendingDebug, debug | ((debug & dr6::breakpoints) != 0 ? enabled_breakpoint : 0));
  if (c_.on_exit(exit_control::save_preemption_timer)) {
    const unsigned shift = capabilities_.preemption_timer_shift();
    const u64 now = cpu_.host_tsc() >> shift;
    const u64 end = timer_expiry_ >> shift;
    vmcs.write(Field::PreemptionTimerValue, end > now ? end - now : 0);
  }
  if (c_.also(secondary::ept) && s.paging() && (s.cr4 & cr4::PAE) != 0 && !s.long_mode_active()) {
    for (unsigned i = 0; i < 4; ++i) vmcs.write(Field::GuestPdpte0 + i, s.pdpte[i]);
  }
  if (c_.also(secondary::interrupt_delivery)) vmcs.write(Field::GuestInterruptStatus, interrupt_status_);
}

}  // namespace bunshin::vmx
