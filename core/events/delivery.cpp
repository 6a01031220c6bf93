#include "core/events/delivery.h"

#include <optional>

#include "core/events/debug.h"
#include "core/events/virtual_8086.h"
#include "core/virt/intercept.h"

namespace bunshin {

namespace {

enum class FaultClass : u8 { Benign, Contributory, Page, Double };

/// SDM vol. 3, table 6-4.
FaultClass class_of(Vector v) {
  switch (v) {
    case Vector::DE:
    case Vector::TS:
    case Vector::NP:
    case Vector::SS:
    case Vector::GP: return FaultClass::Contributory;
    case Vector::PF:
    case Vector::VE: return FaultClass::Page;
    case Vector::DF: return FaultClass::Double;
    default: return FaultClass::Benign;
  }
}

/// What to deliver when `second` arises while `first` is delivered (SDM vol. 3, table 6-5); empty: shutdown.
std::optional<Fault> combine(Vector first, const Fault& second) {
  const FaultClass a = class_of(first);
  const FaultClass b = class_of(second.vector);
  if (a == FaultClass::Benign || b == FaultClass::Benign) return second;
  if (a == FaultClass::Contributory && b == FaultClass::Page) return second;
  if (a == FaultClass::Double) return std::nullopt;
  return Fault::with_code(Vector::DF, 0);
}

/// A delivery is exact in time: devices (stacks and tables in odd places) may be accessed.
class AloneScope {
 public:
  explicit AloneScope(Cpu& cpu) : cpu_(cpu), before_(cpu.alone) { cpu.alone = true; }
  ~AloneScope() { cpu_.alone = before_; }
  AloneScope(const AloneScope&) = delete;
  AloneScope& operator=(const AloneScope&) = delete;

 private:
  Cpu& cpu_;
  bool before_;
};

void finish_delivery(Cpu& cpu) {
  CpuState& s = cpu.state;
  s.interrupt_shadow = s.debug_shadow = false;
  s.pending_debug &= ~dr6::BS;
  s.activity = Activity::Active;
  cpu.leave = Leave::None;
}

bool deliver_once(Cpu& cpu, Event& event) {
  CpuState& s = cpu.state;
  bool done = false;
  if (s.long_mode_active())
    done = deliver_long_mode(cpu, event);
  else if (s.protected_mode())
    done = deliver_protected(cpu, event);
  else
    done = deliver_real_mode(cpu, event);
  if (!done) {
    if (cpu.fault.exit != GuestExit::None) return false;
    // EXT: the fault arose in delivering something the program did not ask for (SDM vol. 3, 6.13).
    const bool carries_ext = class_of(cpu.fault.vector) == FaultClass::Contributory;
    if (!event.by_software() && carries_ext) cpu.fault.error_code |= 1;
    return false;
  }
  if (!event.by_instruction()) record_event(cpu, event.return_rip);
  finish_delivery(cpu);
  return true;
}

/// What the exception itself leaves in registers before its handler is looked for.
void commit_exception(Cpu& cpu, const Event& event) {
  CpuState& s = cpu.state;
  if (event.vector == static_cast<u8>(Vector::PF)) s.cr2 = event.linear;
  if (event.vector == static_cast<u8>(Vector::DB))
    report_debug_exception(s);
  else
    s.pending_debug = 0;  // the instruction will run again
}

Event event_of(const CpuState& s, const Fault& fault) {
  // Of the debug exceptions only general detect is a fault that resumes with RF set (SDM vol. 3, 17.3.1.1).
  const bool resumes = fault.vector != Vector::DB || (s.pending_debug & dr6::BD) != 0;
  return {.vector = static_cast<u8>(fault.vector),
          .has_error_code = fault.has_error_code,
          .error_code = fault.error_code,
          .linear = fault.linear,
          .return_rip = s.rip,
          .flags = s.flags.value() | (resumes ? rflags::RF : 0)};
}

/// The exception leaves the guest, or is not one to begin with. `delivering`: while that was being delivered.
bool leaves_guest(Cpu& cpu, const Fault& fault, const Event& event, const Event* delivering) {
  if (cpu.guest == nullptr) return false;
  if (fault.exit == GuestExit::None && !cpu.guest->intercepts_exception(event)) return false;
  cpu.guest->leave_guest(fault.exit == GuestExit::None ? Fault::intercepted() : fault, delivering);
  return true;
}

void shut_down(Cpu& cpu) {
  cpu.leave = Leave::None;
  if (cpu.guest != nullptr && cpu.guest->intercepts_shutdown()) {
    cpu.guest->leave_guest(Fault::intercepted(), nullptr);
    return;
  }
  cpu.state.activity = Activity::Shutdown;
}

/// `event`, an exception, has failed with Cpu::fault: what is to be delivered next (empty: shutdown). False: the second fault
/// has left the guest; whether the two make a double fault is asked only of those that stay (SDM vol. 3, 27.2.4).
bool follow_failed(Cpu& cpu, const Event& event, std::optional<Fault>& next) {
  const Fault second = cpu.fault;
  if (leaves_guest(cpu, second, event_of(cpu.state, second), &event)) return false;
  if (second.vector == Vector::PF) cpu.state.cr2 = second.linear;
  next = combine(static_cast<Vector>(event.vector), second);
  return true;
}

/// Delivers a fault that arose while `delivering` (null: nothing) was being delivered.
void deliver_chain(Cpu& cpu, std::optional<Fault> current, const Event* delivering) {
  // Benign faults could follow each other for ever in a hostile set of tables; the longest chain that makes progress is
  // contributory, page fault, double fault.
  constexpr unsigned longest_chain = 6;
  std::optional<Event> interrupted;
  if (delivering != nullptr) interrupted = *delivering;
  for (unsigned i = 0; i < longest_chain && current; ++i) {
    // A double fault is not said to have interrupted anything.
    if (current->vector == Vector::DF) interrupted.reset();
    Event event = event_of(cpu.state, *current);
    if (leaves_guest(cpu, *current, event, interrupted ? &*interrupted : nullptr)) return;
    commit_exception(cpu, event);
    if (deliver_once(cpu, event) || !follow_failed(cpu, event, current)) return;
    interrupted = event;
  }
  shut_down(cpu);
}

}  // namespace

void deliver_exception(Cpu& cpu, const Fault& fault) {
  const AloneScope alone(cpu);
  std::optional<Event> interrupted;
  if (cpu.virt != nullptr) interrupted = cpu.virt->take_interrupted();
  deliver_chain(cpu, fault, interrupted ? &*interrupted : nullptr);
}

void deliver_injected(Cpu& cpu, const Event& injected) {
  const AloneScope alone(cpu);
  Event event = injected;
  // DR6 and DR7 are as the hypervisor has set them.
  if (event.kind == EventKind::Exception && event.vector != static_cast<u8>(Vector::DB)) commit_exception(cpu, event);
  if (event.kind == EventKind::Nmi && cpu.guest != nullptr) cpu.guest->block_nmi();
  if (deliver_once(cpu, event)) return;
  std::optional<Fault> next = cpu.fault;
  if (event.kind == EventKind::Exception && !follow_failed(cpu, event, next)) return;
  deliver_chain(cpu, next, &event);
}

void deliver_interrupt(Cpu& cpu, u8 vector, EventKind kind) {
  const AloneScope alone(cpu);
  if (kind == EventKind::Nmi) {
    cpu.state.nmi_blocked = true;
    cpu.state.nmi_pending = false;
  }
  Event event{.vector = vector, .kind = kind, .return_rip = cpu.state.rip, .flags = cpu.state.flags.value()};
  if (!deliver_once(cpu, event)) deliver_chain(cpu, Fault(cpu.fault), &event);
}

bool software_interrupt(Cpu& cpu, const Record& r, u8 vector, EventKind kind) {
  CpuState& s = cpu.state;
  const u64 return_rip = s.rip;
  if (kind == EventKind::SoftwareInterrupt && intercepted(cpu, r, Intercept::IntN, vector)) return false;
  if (kind == EventKind::PrivilegedSoftwareException && intercepted(cpu, r, Intercept::Icebp)) return false;
  if (s.v86() && kind == EventKind::SoftwareInterrupt) {
    switch (route_virtual_8086_interrupt(cpu, vector)) {
      case InterruptRoute::Fault: return false;
      case InterruptRoute::Program:
        if (!deliver_to_8086_program(cpu, vector, return_rip)) return false;
        finish_delivery(cpu);
        return true;
      case InterruptRoute::Protected: break;
    }
  }
  Event event{.vector = vector,
              .kind = kind,
              .return_rip = return_rip,
              .flags = s.flags.value(),
              .instruction_length = r.length};
  if (kind != EventKind::SoftwareInterrupt && cpu.guest != nullptr && cpu.guest->intercepts_exception(event))
    return cpu.raise(Fault::intercepted());
  if (deliver_once(cpu, event)) return true;
  if (!event.in_new_task) {
    if (cpu.guest != nullptr) cpu.guest->note_interrupted(event);
    return false;
  }
  // The interrupt has happened; what failed is the first thing the handler's task did (SDM vol. 3, 7.3).
  deliver_chain(cpu, Fault(cpu.fault), nullptr);
  return true;
}

bool deliver_real_mode(Cpu& cpu, const Event& event) {
  const CpuState& s = cpu.state;
  if (event.vector * 4u + 3 > s.idtr.limit) return cpu.raise(Vector::GP, idt_code(event.vector));
  constexpr u64 cleared = rflags::IF | rflags::TF | rflags::AC | rflags::RF;
  return enter_8086_handler(cpu, s.idtr.base + event.vector * 4u, event.flags, cleared, event.return_rip);
}

}  // namespace bunshin
