#include "core/events/delivery.h"

#include <optional>

#include "core/events/debug.h"
#include "core/events/virtual_8086.h"

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
    case Vector::PF: return FaultClass::Page;
    case Vector::DF: return FaultClass::Double;
    default: return FaultClass::Benign;
  }
}

/// What to deliver when `second` arises while `first` is delivered (SDM vol. 3, table 6-5); empty: shutdown.
std::optional<Fault> combine(const Fault& first, const Fault& second) {
  const FaultClass a = class_of(first.vector);
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
    // EXT: the fault arose in delivering something the program did not ask for (SDM vol. 3, 6.13).
    const bool carries_ext = class_of(cpu.fault.vector) == FaultClass::Contributory;
    if (!event.by_software() && carries_ext) cpu.fault.error_code |= 1;
    return false;
  }
  if (!event.by_instruction()) record_event(cpu, event.return_rip);
  finish_delivery(cpu);
  return true;
}

/// What the exception itself leaves in registers before its handler is looked for, and the RF to push.
u64 prepare_exception(Cpu& cpu, const Fault& fault) {
  CpuState& s = cpu.state;
  const u64 flags = s.flags.value();
  if (fault.vector == Vector::PF) s.cr2 = fault.linear;
  if (fault.vector != Vector::DB) {
    s.pending_debug = 0;  // the instruction will run again
    return flags | rflags::RF;
  }
  // Of the debug exceptions only general detect is a fault that resumes with RF set (SDM vol. 3, 17.3.1.1).
  const bool general_detect = (s.pending_debug & dr6::BD) != 0;
  report_debug_exception(s);
  return general_detect ? flags | rflags::RF : flags;
}

}  // namespace

void deliver_exception(Cpu& cpu, const Fault& fault) {
  const AloneScope alone(cpu);
  // Benign faults could follow each other for ever in a hostile set of tables; the longest chain that makes progress is
  // contributory, page fault, double fault.
  constexpr unsigned longest_chain = 6;
  std::optional<Fault> current = fault;
  for (unsigned i = 0; i < longest_chain && current; ++i) {
    Event event{.vector = static_cast<u8>(current->vector),
                .has_error_code = current->has_error_code,
                .error_code = current->error_code};
    event.flags = prepare_exception(cpu, *current);
    event.return_rip = cpu.state.rip;
    if (deliver_once(cpu, event)) return;
    const Fault second = cpu.fault;
    if (second.vector == Vector::PF) cpu.state.cr2 = second.linear;
    current = combine(*current, second);
  }
  cpu.state.activity = Activity::Shutdown;
  cpu.leave = Leave::None;
}

void deliver_interrupt(Cpu& cpu, u8 vector, EventKind kind) {
  const AloneScope alone(cpu);
  if (kind == EventKind::Nmi) {
    cpu.state.nmi_blocked = true;
    cpu.state.nmi_pending = false;
  }
  Event event{.vector = vector, .kind = kind, .return_rip = cpu.state.rip, .flags = cpu.state.flags.value()};
  if (!deliver_once(cpu, event)) deliver_exception(cpu, Fault(cpu.fault));
}

bool software_interrupt(Cpu& cpu, u8 vector, EventKind kind, u64 return_rip) {
  CpuState& s = cpu.state;
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
  Event event{.vector = vector, .kind = kind, .return_rip = return_rip, .flags = s.flags.value()};
  if (deliver_once(cpu, event)) return true;
  if (!event.in_new_task) return false;
  // The interrupt has happened; what failed is the first thing the handler's task did (SDM vol. 3, 7.3).
  deliver_exception(cpu, Fault(cpu.fault));
  return true;
}

bool deliver_real_mode(Cpu& cpu, const Event& event) {
  const CpuState& s = cpu.state;
  if (event.vector * 4u + 3 > s.idtr.limit) return cpu.raise(Vector::GP, idt_code(event.vector));
  constexpr u64 cleared = rflags::IF | rflags::TF | rflags::AC | rflags::RF;
  return enter_8086_handler(cpu, s.idtr.base + event.vector * 4u, event.flags, cleared, event.return_rip);
}

}  // namespace bunshin
