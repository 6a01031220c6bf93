#include "vmm-model/guest.h"

#include <algorithm>

#include "vmm-model/message.h"

namespace bunshin::vmm {

Guest::Guest(std::string_view name, Hardware& hardware, GuestMemory& memory, GuestExecution& execution,
             GuestPaging& paging, const VirtualPcSetup& setup, HostPhysical state_area, SimTime limit,
             bool prefix_output)
    : name_(name),
      hardware_(hardware),
      memory_(memory),
      execution_(execution),
      paging_(paging),
      pc_(hardware, memory, *this, setup),
      output_(hardware, name, prefix_output),
      state_area_(state_area),
      limit_(limit) {}

bool Guest::power_on() {
  hardware_.working_for(paging_.name());
  hardware_.save_extended_state(state_area_, xcr0_);
  pc_.power_on();
  return paging_.start();
}

void Guest::enter_processor() {
  hardware_.load_extended_state(state_area_, xcr0_);
  hardware_.write_msr(msr::tsc_aux, msrs_.tsc_aux);
  if (!execution_.keeps_translations()) execution_.flush_translations();
  pc_.guest_was_away();
  forget_timer();
}

void Guest::leave_processor() { hardware_.save_extended_state(state_area_, xcr0_); }

/// What depends on time, and when it is to be looked at again. False: the guest shall not run now.
bool Guest::keep_time(SimTime slice_end, u64& again_at) {
  const SimTime now = hardware_.now();
  if (now >= limit_) end(GuestState::Failed, "stopped: its time is over");
  if (state_ != GuestState::Ready || now >= slice_end) return false;
  const SimTime next = std::min(pc_.run_devices(), slice_end);
  again_at = hardware_.tsc_at(std::min(next, limit_));
  if (next != timer_ || timer_spent_) {
    hardware_.set_timer(next);
    timer_ = next;
    timer_spent_ = false;
  }
  return state_ == GuestState::Ready;
}

void Guest::run(SimTime slice_end) {
  hardware_.working_for(paging_.name());
  u64 again_at = 0;
  while (state_ == GuestState::Ready) {
    const bool look = hardware_.tsc() >= again_at || pc_.alarm_set() || timer_spent_;
    if (look && !keep_time(slice_end, again_at)) return;
    prepare_interrupts();
    const u64 entered_at = hardware_.tsc();
    const Exit exit = execution_.enter();
    const u64 exited_at = hardware_.tsc();
    guest_tsc_ += exited_at - entered_at;
    keep_interrupted_event(exit);
    adopt_task_priority();
    const ExitRow& row = exit_row(exit.reason);
    row.handler(*this, exit);
    hardware_.exit_handled(exit.reason);
    ExitCounter& counter = counters_[static_cast<unsigned>(exit.reason)];
    ++counter.count;
    counter.tsc += hardware_.tsc() - exited_at;
  }
}

// A software interrupt or exception is raised again by its own instruction, at which RIP still stands.
void Guest::keep_interrupted_event(const Exit& exit) {
  kept_ = exit.interrupted.kind == Event::Kind::Software ? Event{} : exit.interrupted;
}

namespace {

bool is_contributory(const Event& e) {
  return e.kind == Event::Kind::Exception &&
         (e.vector == vector::DE || (e.vector >= vector::TS && e.vector <= vector::GP));
}
bool is_page_fault(const Event& e) { return e.kind == Event::Kind::Exception && e.vector == vector::PF; }
bool is_double_fault(const Event& e) { return e.kind == Event::Kind::Exception && e.vector == vector::DF; }

/// SDM vol. 3, table 6-5.
bool makes_double_fault(const Event& first, const Event& second) {
  return is_contributory(first) ? is_contributory(second)
                                : is_page_fault(first) && (is_page_fault(second) || is_contributory(second));
}

}  // namespace

void Guest::inject(const Event& event) {
  if (is_double_fault(kept_) && (is_contributory(event) || is_page_fault(event))) return fail("triple fault", {});
  if (makes_double_fault(kept_, event)) {
    kept_ = Event::exception(vector::DF, 0);
  } else if (!kept_ || event.kind == Event::Kind::Exception) {
    // An interrupt whose delivery faulted comes again after the fault's handler: its vector is still in service.
    if (kept_.kind == Event::Kind::Interrupt) pc_.apic().deliver({.mode = DeliveryMode::Fixed, .vector = kept_.vector});
    if (kept_.kind == Event::Kind::Nmi) nmi_pending_ = true;
    kept_ = event;
  }
}

void Guest::set_interrupt_window(bool wanted) {
  if (wanted == window_open_) return;
  execution_.request_interrupt_window(wanted);
  window_open_ = wanted;
}

// CR8 and the local APIC's TPR are one register: the guest may have written either.
void Guest::adopt_task_priority() {
  const u8 priority = static_cast<u8>(execution_.get(StateField::task_priority));
  if (priority != pc_.apic().task_priority_class()) pc_.apic().set_task_priority_class(priority);
}

void Guest::prepare_interrupts() {
  prepare_event();
  const u8 priority = pc_.apic().task_priority_class();
  if (priority != execution_.get(StateField::task_priority)) execution_.set(StateField::task_priority, priority);
  execution_.request_priority_window(pc_.apic().held_back_class());
}

void Guest::prepare_event() {
  LocalApic& apic = pc_.apic();
  if (!kept_ && nmi_pending_) {
    kept_ = Event::nmi();
    nmi_pending_ = false;
  }
  const auto open = [this] {
    return (execution_.get(StateField::rflags) & rflags::IF) != 0 && execution_.get(StateField::interrupt_shadow) == 0;
  };
  if (!kept_ && apic.interrupt_pending() && open()) kept_ = Event::interrupt(apic.acknowledge());
  if (kept_) {
    execution_.inject(kept_);
    kept_ = {};
  }
  pc_.repay_ticks();
  set_interrupt_window(apic.interrupt_pending());
}

SimTime Guest::wake(SimTime now) {
  if (state_ != GuestState::Halted) return SimTime::never();
  if (now >= limit_) end(GuestState::Failed, "stopped: its time is over");
  const SimTime next = pc_.next_alarm() <= now ? pc_.guest_was_away() : pc_.next_alarm();
  if (state_ == GuestState::Halted && (pc_.apic().interrupt_pending() || nmi_pending_)) state_ = GuestState::Ready;
  return next;
}

void Guest::halt() {
  if (pc_.apic().interrupt_pending() || nmi_pending_ || kept_) return;
  if ((execution_.get(StateField::rflags) & rflags::IF) == 0) {
    return end(GuestState::Failed, "halted with interrupts off");
  }
  state_ = GuestState::Halted;
}

void Guest::debug_exit(u32 value) {
  end(value == 0 ? GuestState::Off : GuestState::Failed,
      value == 0 ? "wrote 0 to the debug-exit port" : "reported failure to the debug-exit port");
}

void Guest::end(GuestState state, std::string_view why) {
  if (state_ == GuestState::Off || state_ == GuestState::Failed) return;
  state_ = state;
  reason_ = why;
  output_.flush();
}

void Guest::fail(std::string_view why, const Exit& exit) {
  Message message;
  message << name_ << ": " << why << ": " << exit_row(exit.reason).name << " code " << hex(exit.code) << " address "
          << hex(exit.address) << " error " << hex(exit.error_code) << " at rip "
          << hex(execution_.get(StateField::rip)) << " cr0 " << hex(execution_.get(StateField::cr0)) << " cr3 "
          << hex(execution_.get(StateField::cr3)) << " cr4 " << hex(execution_.get(StateField::cr4)) << " efer "
          << hex(execution_.get(StateField::efer)) << "\n";
  hardware_.log(message.text());
  end(GuestState::Failed, why);
}

}  // namespace bunshin::vmm
