#include "core/virt/vmx/guest_state.h"

namespace bunshin::vmx {
namespace {

Segment read_segment(const Vmcs& vmcs, unsigned i) {
  return {static_cast<u16>(vmcs.read(Field::GuestEs + i)), vmcs.read32(Field::GuestEsRights + i),
          vmcs.read32(Field::GuestEsLimit + i), vmcs.read(Field::GuestEsBase + i)};
}

}  // namespace

GuestState read_guest_state(const Vmcs& vmcs, const Controls& controls) {
  GuestState g;
  g.cr0 = vmcs.read(Field::GuestCr0);
  g.cr3 = vmcs.read(Field::GuestCr3);
  g.cr4 = vmcs.read(Field::GuestCr4);
  g.rsp = vmcs.read(Field::GuestRsp);
  g.rip = vmcs.read(Field::GuestRip);
  g.rflags = vmcs.read(Field::GuestRflags);
  for (unsigned i = 0; i < 6; ++i) g.seg[i] = read_segment(vmcs, i);
  g.ldtr = read_segment(vmcs, 6);
  g.tr = read_segment(vmcs, 7);
  g.gdtr_base = vmcs.read(Field::GuestGdtrBase);
  g.idtr_base = vmcs.read(Field::GuestIdtrBase);
  g.gdtr_limit = vmcs.read32(Field::GuestGdtrLimit);
  g.idtr_limit = vmcs.read32(Field::GuestIdtrLimit);
  if (controls.on_entry(entry_control::load_debug)) {
    g.dr7 = vmcs.read(Field::GuestDr7);
    g.debugctl = vmcs.read(Field::GuestDebugctl);
  }
  g.sysenter_cs = vmcs.read(Field::GuestSysenterCs);
  g.sysenter_esp = vmcs.read(Field::GuestSysenterEsp);
  g.sysenter_eip = vmcs.read(Field::GuestSysenterEip);
  if (controls.on_entry(entry_control::load_pat)) g.pat = vmcs.read(Field::GuestPat);
  if (controls.on_entry(entry_control::load_efer)) g.efer = vmcs.read(Field::GuestEfer);
  g.activity = vmcs.read32(Field::GuestActivity);
  g.interruptibility = vmcs.read32(Field::GuestInterruptibility);
  g.pending_debug = vmcs.read(Field::GuestPendingDebug);
  g.link_pointer = vmcs.read(Field::VmcsLinkPointer);
  if (controls.also(secondary::interrupt_delivery))
    g.interrupt_status = static_cast<u16>(vmcs.read(Field::GuestInterruptStatus));
  if (controls.also(secondary::ept) && g.pae_paging(controls)) {
    for (unsigned i = 0; i < 4; ++i) g.pdptes[i] = vmcs.read(Field::GuestPdpte0 + i);
  }
  if (controls.has_pin(pin::preemption_timer)) g.preemption_timer = vmcs.read32(Field::PreemptionTimerValue);
  g.interruption = vmcs.read32(Field::EntryInterruption);
  if ((g.interruption & interruption::valid) != 0) {
    g.error_code = vmcs.read32(Field::EntryErrorCode);
    g.instruction_length = vmcs.read32(Field::EntryInstructionLength);
  }
  return g;
}

}  // namespace bunshin::vmx
