// What happens between two instructions of a guest (SDM vol. 3, 25.2, 25.5, 26.7): by priority injected events, exits behind the
// last instruction, monitor trap, debug traps (the engine's), preemption timer, windows, NMIs, interrupts.

#include <utility>

#include "core/virt/vmx/vmx.h"

namespace bunshin::vmx {

bool Vmx::timer_expired() const { return timer_expiry_ != ~u64{0} && cpu_.host_tsc() >= timer_expiry_; }

/// False: nothing of the local APIC's is due.
bool Vmx::external_interrupt_due(DueEvent& event) const {
  if (!cpu_.apic.interrupt_pending()) return false;
  if (c_.has_pin(pin::external_interrupt)) {
    event.kind = c_.has_pin(pin::posted_interrupts) ? DueEvent::Kind::Absorbed : DueEvent::Kind::Exit;
    return true;
  }
  event.kind = DueEvent::Kind::External;
  return (cpu_.state.flags.system & rflags::IF) != 0;
}

DueEvent Vmx::due() const {
  using enum DueEvent::Kind;
  const CpuState& s = cpu_.state;
  if (injected_) return {Injected, true};
  if (trap_exit_ || monitor_trap_ == MonitorTrap::Pending) return {Exit, true};
  if (s.activity == Activity::WaitForSipi) return {};
  if (init_held_) return {Absorbed, true};
  if (timer_expired()) return {Exit, false};
  if (s.interrupt_shadow) return {};
  if (c_.has(primary::nmi_window) && !virtual_nmi_blocked_) return {Exit, false};
  if (s.nmi_pending && !s.nmi_blocked) return {c_.has_pin(pin::nmi) ? Exit : Nmi, false};
  if (s.activity == Activity::Shutdown) return {};
  const bool enabled = (s.flags.system & rflags::IF) != 0;
  if (c_.has(primary::interrupt_window) && enabled) return {Exit, false};
  DueEvent event;
  if (external_interrupt_due(event)) return event;
  if (virtual_interrupt_pending_ && enabled) return {VirtualInterrupt, false};
  return {};
}

/// 27.2.2 "Information for VM exits due to vectored events": an interrupt acknowledged on exit.
ExitInformation Vmx::acknowledged_interrupt() {
  ExitInformation exit{.reason = Reason::ExternalInterrupt};
  if (!c_.on_exit(exit_control::acknowledge_interrupt)) return exit;
  const Event event{.vector = cpu_.apic.acknowledge(), .kind = EventKind::External};
  exit.interruption = interruption_information(event);
  return exit;
}

/// The exit that due() has announced.
ExitInformation Vmx::due_exit() {
  CpuState& s = cpu_.state;
  ExitInformation exit{.keeps_debug = true};
  if (trap_exit_) return *trap_exit_;
  if (monitor_trap_ == MonitorTrap::Pending) {
    exit.reason = Reason::MonitorTrapFlag;
  } else if (timer_expired()) {
    exit.reason = Reason::PreemptionTimer;
  } else if (c_.has(primary::nmi_window) && !virtual_nmi_blocked_ && !s.interrupt_shadow) {
    exit.reason = Reason::NmiWindow;
  } else if (s.nmi_pending && !s.nmi_blocked) {
    s.nmi_pending = false;
    s.nmi_blocked = true;
    exit.interruption = interruption_information({.vector = 2, .kind = EventKind::Nmi});
  } else if (c_.has(primary::interrupt_window) && (s.flags.system & rflags::IF) != 0) {
    exit.reason = Reason::InterruptWindow;
  } else {
    exit = acknowledged_interrupt();
    exit.keeps_debug = true;
  }
  return exit;
}

void Vmx::stepped() {
  if (monitor_trap_ == MonitorTrap::Armed) monitor_trap_ = MonitorTrap::Pending;
}

Event Vmx::injected_event() {
  const Event event = injected_.value_or(Event{});
  injected_.reset();
  // The monitor trap comes before the handler's first instruction (25.5.2).
  if (monitor_trap_ == MonitorTrap::Armed) monitor_trap_ = MonitorTrap::Pending;
  return event;
}

void Vmx::block_nmi() {
  if (c_.has_pin(pin::virtual_nmis))
    virtual_nmi_blocked_ = true;
  else
    cpu_.state.nmi_blocked = true;
}

/// 25.3 "IRET".
void Vmx::unblock_nmi() {
  const bool was_blocked = c_.has_pin(pin::virtual_nmis) ? virtual_nmi_blocked_ : cpu_.state.nmi_blocked;
  if (c_.has_pin(pin::virtual_nmis))
    virtual_nmi_blocked_ = false;
  else if (!c_.has_pin(pin::nmi))
    cpu_.state.nmi_blocked = false;
  else
    return;
  unblocking_iret_ = was_blocked ? cpu_.completed() : ~u64{0};
}

/// An INIT that root operation held back (23.8); an interrupt while posted interrupts are processed (29.6), of which only the
/// notification vector stays here.
void Vmx::take_silently() {
  if (std::exchange(init_held_, false)) {
    // The slice ends here: between two of them INIT arrives again.
    cpu_.deadline -= static_cast<u64>(cpu_.budget);
    cpu_.budget = 0;
    return;
  }
  constexpr u32 word = 4;
  const u8 vector = cpu_.apic.acknowledge();
  if (vector == c_.posted_vector) {
    cpu_.apic.write(0, LocalApic::eoi_register, word, 0);
    process_posted_interrupts();
    return;
  }
  const Event event{.vector = vector, .kind = EventKind::External};
  pending_ = ExitInformation{
      .reason = Reason::ExternalInterrupt, .interruption = interruption_information(event), .keeps_debug = true};
  leave_guest(Fault::intercepted(), nullptr);
}

u64 Vmx::next_cycle() const {
  if (cpu_.guest == nullptr || timer_expiry_ == ~u64{0} || cpu_.state.activity == Activity::WaitForSipi) return ~u64{0};
  return timer_expiry_ - cpu_.state.tsc_offset;
}

InitAction Vmx::init_arrived() {
  if (!in_operation_) return InitAction::Take;
  init_held_ = !in_guest() || cpu_.state.activity == Activity::WaitForSipi;
  if (init_held_) return InitAction::Hold;
  pending_ = ExitInformation{.reason = Reason::Init, .keeps_debug = true};
  leave_guest(Fault::intercepted(), nullptr);
  return InitAction::Exited;
}

bool Vmx::startup_arrived(u8 vector) {
  if (cpu_.state.activity != Activity::WaitForSipi) return false;
  pending_ = ExitInformation{.reason = Reason::Sipi, .qualification = vector};
  leave_guest(Fault::intercepted(), nullptr);
  return true;
}

}  // namespace bunshin::vmx
