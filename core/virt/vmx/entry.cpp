// VM entries (SDM vol. 3, ch. 26), in the manual's order: checks of controls and host state, checks of guest state, loading guest
// state, loading MSRs, event injection.

#include "core/events/debug.h"
#include "core/system/msr.h"
#include "core/virt/vmx/entry_checks.h"
#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {

bool Vmx::check_and_enter(Vmcs vmcs, bool launch) {
  c_ = read_controls(vmcs);
  const GuestState g = read_guest_state(vmcs, c_);
  const EntryContext context{.capabilities = capabilities_,
                             .vmcs = vmcs,
                             .c = c_,
                             .g = g,
                             .efer_writable = efer_writable(cpu_),
                             .debugctl_writable = debugctl::LBR | debugctl::BTF,
                             .linear_bits = cpu_.profile.linear_bits(),
                             .long_mode = cpu_.state.long_mode_active()};
  // 26.2
  for (const auto rules : {execution_control_rules(), transition_control_rules()}) {
    broken_rule_ = first_broken(rules, context);
    if (broken_rule_ != nullptr) return refuse(InstructionError::InvalidControls);
  }
  broken_rule_ = first_broken(host_rules(), context);
  if (broken_rule_ != nullptr) return refuse(InstructionError::InvalidHostState);
  // 26.3.1
  broken_rule_ = first_broken_of_guest(context);
  if (broken_rule_ != nullptr) {
    fail_entry(vmcs, Reason::InvalidGuestState, broken_rule_->qualification, broken_rule_->text);
    return true;
  }
  std::array<u64, 4> pdptes{};
  constexpr u64 bad_pdptes = 2;
  if (!load_pdptes(g, pdptes)) {
    fail_entry(vmcs, Reason::InvalidGuestState, bad_pdptes, pdptes_rule);
    return true;
  }
  // 26.3.2, 26.4
  load_guest(g, pdptes);
  if (const u32 number = load_msrs(vmcs.read(Field::EntryMsrLoadAddress), vmcs.read32(Field::EntryMsrLoadCount))) {
    fail_entry(vmcs, Reason::MsrLoading, number, msr_loading_rule);
    return true;
  }
  if (launch) vmcs.write_launch_state(LaunchState::Launched);
  begin_guest(g);
  return true;
}

/// PAE paging: from the VMCS with EPT, else from the memory that the guest's CR3 names (26.3.1.6, 26.3.2.4).
bool Vmx::load_pdptes(const GuestState& g, std::array<u64, 4>& pdptes) {
  if (!g.pae_paging(c_)) return true;
  if (c_.also(secondary::ept))
    pdptes = g.pdptes;
  else
    read_physical(cpu_, HostPhysical(g.cr3 & 0xffff'ffe0), {reinterpret_cast<u8*>(pdptes.data()), sizeof pdptes});
  return are_pdptes(pdptes, capabilities_.physical_bits);
}

bool Vmx::refuse(InstructionError error) {
  refused_entry(static_cast<u32>(error), broken_rule_->text);
  return fail(error);
}

void Vmx::fail_entry(Vmcs vmcs, Reason reason, u64 qualification, std::string_view rule) {
  const u32 code = static_cast<u32>(reason) | entry_failure;
  vmcs.write(Field::ExitReason, code);
  vmcs.write(Field::ExitQualification, qualification);
  const u64 rip = cpu_.state.rip;
  load_host(vmcs);
  left_guest({code, qualification, 0, rip, code, rule});
}

void Vmx::begin_guest(const GuestState& g) {
  link_pointer_ = g.link_pointer;
  pending_.reset();
  trap_exit_.reset();
  injected_.reset();
  unblocking_iret_ = ~u64{0};
  first_pause_ = last_pause_ = 0;
  timer_expiry_ = ~u64{0};
  if (c_.has_pin(pin::preemption_timer)) {
    const unsigned shift = capabilities_.preemption_timer_shift();
    timer_expiry_ = ((cpu_.host_tsc() >> shift) + g.preemption_timer) << shift;
  }
  monitor_trap_ = c_.has(primary::monitor_trap_flag) ? MonitorTrap::Armed : MonitorTrap::Off;
  interrupt_status_ = g.interrupt_status;
  virtual_interrupt_pending_ = false;
  entered_guest();
  inject(g);
  if (c_.also(secondary::interrupt_delivery)) {
    virtualize_ppr();
    evaluate_pending();
  } else if (c_.has(primary::tpr_shadow) && c_.also(secondary::apic_accesses)) {
    virtualize_tpr();
  }
  // The preemption timer may come before what the engine has planned.
  cpu_.accessed_device = true;
}

/// 26.6 and 26.5.2.
void Vmx::inject(const GuestState& g) {
  if ((g.interruption & interruption::valid) == 0) return;
  const u32 type = interruption::type_of(g.interruption);
  if (type == interruption::other) {
    monitor_trap_ = MonitorTrap::Pending;
    return;
  }
  Event event{.vector = static_cast<u8>(g.interruption), .flags = cpu_.state.flags.value()};
  event.return_rip = g.rip;
  switch (type) {
    case interruption::external: event.kind = EventKind::External; break;
    case interruption::nmi: event.kind = EventKind::Nmi; break;
    case interruption::hardware: event.kind = EventKind::Exception; break;
    case interruption::software: event.kind = EventKind::SoftwareInterrupt; break;
    case interruption::privileged_software: event.kind = EventKind::PrivilegedSoftwareException; break;
    default: event.kind = EventKind::SoftwareException; break;
  }
  if (event.by_instruction()) {
    event.instruction_length = static_cast<u8>(g.instruction_length);
    event.return_rip += g.instruction_length;
  }
  if ((g.interruption & interruption::error_code) != 0) {
    event.has_error_code = true;
    event.error_code = g.error_code;
  }
  // CR2 is not the entry's to set.
  event.linear = cpu_.state.cr2;
  injected_ = event;
}

}  // namespace bunshin::vmx
