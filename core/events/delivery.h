#pragma once

// Delivery of exceptions and interrupts in every mode (SDM vol. 3, ch. 6 and 20; APM vol. 2, ch. 8).

#include "core/cpu.h"

namespace bunshin {

enum class EventKind : u8 {
  Exception,
  External,
  Nmi,
  SoftwareInterrupt,            ///< INT n
  SoftwareException,            ///< INT3, INTO
  PrivilegedSoftwareException,  ///< INT1
};

/// One attempt at a delivery.
struct Event {
  u8 vector = 0;
  EventKind kind = EventKind::Exception;
  bool has_error_code = false;
  u32 error_code = 0;
  u64 return_rip = 0;
  /// Pushed RFLAGS; RF as the manual says.
  u64 flags = 0;
  /// Set by a delivery that failed after switching to the handler's task: state and RIP are the new task's.
  bool in_new_task = false;

  /// Gate DPL is checked, and EXT is 0 in error codes.
  bool by_software() const { return kind == EventKind::SoftwareInterrupt || kind == EventKind::SoftwareException; }
  bool by_instruction() const { return by_software() || kind == EventKind::PrivilegedSoftwareException; }
};

/// Delivers the fault of the instruction at CpuState::rip (or the #DB trap in CpuState::pending_debug), following
/// double faults to the end: afterwards RIP is a handler, or Activity is Shutdown.
void deliver_exception(Cpu& cpu, const Fault& fault);

/// Delivers an interrupt or NMI between instructions, ending HLT; faults on the way are delivered in its place.
void deliver_interrupt(Cpu& cpu, u8 vector, EventKind kind);

/// INT n, INT3, INTO, INT1. False: the fault is raised and nothing changed.
[[nodiscard]] bool software_interrupt(Cpu& cpu, u8 vector, EventKind kind, u64 return_rip);

/// --- The forms of delivery, by mode. False: the fault is raised; registers are unchanged unless in_new_task. ---
[[nodiscard]] bool deliver_real_mode(Cpu& cpu, const Event& event);
[[nodiscard]] bool deliver_protected(Cpu& cpu, Event& event);
[[nodiscard]] bool deliver_long_mode(Cpu& cpu, const Event& event);

/// Error code of a fault that names an IDT entry.
constexpr u32 idt_code(u8 vector) { return vector * 8u + 2; }

}  // namespace bunshin
