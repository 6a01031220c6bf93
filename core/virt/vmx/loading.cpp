// Loading guest state (SDM vol. 3, 26.3.2), and what the guest's addresses are translated by.

#include "core/events/debug.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {

void Vmx::load_guest(const GuestState& g, const std::array<u64, 4>& pdptes) {
  load_guest_registers(g);
  cpu_.state.pdpte = pdptes;
  load_non_register_state(g);
  if (!c_.also(secondary::vpid)) cpu_.mmu.flush_guest_linear(0);
  load_translation();
}

void Vmx::load_guest_efer(const GuestState& g) {
  u64& value = cpu_.state.msr.efer;
  if (c_.on_entry(entry_control::load_efer)) {
    value = g.efer;
    return;
  }
  const bool ia32e = c_.on_entry(entry_control::ia32e_guest);
  value = (value & ~efer::LMA) | (ia32e ? efer::LMA : 0);
  if ((g.cr0 & cr0::PG) != 0) value = (value & ~efer::LME) | (ia32e ? efer::LME : 0);
}

/// 26.3.2.1 to 26.3.2.3.
void Vmx::load_guest_registers(const GuestState& g) {
  CpuState& s = cpu_.state;
  s.cr0 = (s.cr0 & cr0_kept) | (g.cr0 & ~cr0_kept);
  s.cr3 = g.cr3;
  s.cr4 = g.cr4;
  load_guest_efer(g);
  if (c_.on_entry(entry_control::load_debug)) {
    s.dr[7] = (g.dr7 & ~u64{0xd000}) | dr7::fixed;
    s.msr.debugctl = g.debugctl;
  }
  s.msr.sysenter_cs = g.sysenter_cs;
  s.msr.sysenter_esp = g.sysenter_esp;
  s.msr.sysenter_eip = g.sysenter_eip;
  if (c_.on_entry(entry_control::load_pat)) s.msr.pat = g.pat;
  s.seg = g.seg;
  s.ldtr = g.ldtr;
  s.tr = g.tr;
  s.gdtr = {g.gdtr_base, static_cast<u16>(g.gdtr_limit)};
  s.idtr = {g.idtr_base, static_cast<u16>(g.idtr_limit)};
  s.gpr[RSP] = g.rsp;
  s.rip = g.rip;
  s.flags.set_value(g.rflags);
  // SS.DPL is the CPL, in virtual-8086 mode too, and when SS is unusable (24.4.1).
  s.cpl = static_cast<u8>(g.segment(Seg::SS).dpl());
}

/// 26.6.1 to 26.6.3.
void Vmx::load_non_register_state(const GuestState& g) {
  CpuState& s = cpu_.state;
  s.interrupt_shadow = (g.interruptibility & (interruptibility::sti | interruptibility::mov_ss)) != 0;
  s.debug_shadow = (g.interruptibility & interruptibility::mov_ss) != 0;
  const bool nmi_blocking = (g.interruptibility & interruptibility::nmi) != 0;
  virtual_nmi_blocked_ = c_.has_pin(pin::virtual_nmis) && nmi_blocking;
  s.nmi_blocked = !c_.has_pin(pin::virtual_nmis) && nmi_blocking;
  s.pending_debug = g.pending_debug & (dr6::breakpoints | dr6::BS);
  switch (static_cast<ActivityField>(g.activity)) {
    case ActivityField::Hlt: s.activity = Activity::Halted; break;
    case ActivityField::Shutdown: s.activity = Activity::Shutdown; break;
    case ActivityField::WaitForSipi: s.activity = Activity::WaitForSipi; break;
    default: s.activity = Activity::Active; break;
  }
  // An event is delivered in the active state, and what was pending of debug exceptions is lost (26.6.2, 26.7.3).
  if ((g.interruption & interruption::valid) == 0 || interruption::type_of(g.interruption) == interruption::other)
    return;
  s.activity = Activity::Active;
  s.interrupt_shadow = s.debug_shadow = false;
  s.pending_debug = 0;
}

void Vmx::set_second_stage(u64 eptp) {
  SecondStageContext context;
  context.mode = eptp::levels(eptp) == 5 ? PagingMode::Ept5Level : PagingMode::Ept4Level;
  context.root = eptp & eptp::root;
  context.tag = context.root;
  context.accessed_dirty = (eptp & eptp::accessed_dirty) != 0;
  context.mode_based_execute = c_.also(secondary::mode_based_execute);
  context.execute_only = (capabilities_.ept_vpid & ept_vpid_cap::execute_only) != 0;
  context.gigabyte_pages = (capabilities_.ept_vpid & ept_vpid_cap::gigabyte_pages) != 0;
  context.physical_bits = capabilities_.physical_bits;
  stage_.set_context(context);
  stage_.set_dirty_log(c_.also(secondary::pml) ? this : nullptr);
}

/// 29.3.6: the index counts down; beyond the log's 512 entries it is full.
bool Vmx::dirtied(GuestPhysical address) {
  constexpr u64 entries = 512;
  const u64 index = current().read(Field::PmlIndex);
  if (index >= entries) return false;
  write_physical(cpu_, HostPhysical(c_.pml_address + index * sizeof(u64)), address.page().value);
  current().write(Field::PmlIndex, index - 1);
  return true;
}

/// The guest's tag and second stage; the registers are loaded.
void Vmx::load_translation() {
  const bool ept = c_.also(secondary::ept);
  if (ept) set_second_stage(c_.ept_pointer);
  cpu_.mmu.set_second_stage(ept ? &stage_ : nullptr);
  cpu_.mmu.set_trapped_page(c_.also(secondary::apic_accesses) ? HostPhysical(c_.apic_access) : Mmu::no_trapped_page);
  cpu_.guest_tag = tags_.use(c_.vpid, ept ? c_.ept_pointer & eptp::root : GuestTags::no_root);
  if (!c_.also(secondary::vpid)) cpu_.mmu.flush_guest_linear(cpu_.guest_tag);
  cpu_.update_mode();
}

}  // namespace bunshin::vmx
