#pragma once

// Delivery of exceptions and interrupts in every mode (SDM vol. 3, ch. 6 and 20; APM vol. 2, ch. 8).

#include "core/cpu.h"
#include "core/events/event.h"

namespace bunshin {

/// Delivers the fault of the instruction at CpuState::rip (or the #DB trap in CpuState::pending_debug), following
/// double faults to the end: afterwards RIP is a handler, or Activity is Shutdown; or the guest has been left, and RIP is its
/// hypervisor's.
void deliver_exception(Cpu& cpu, const Fault& fault);

/// What a hypervisor asked the entry to deliver; it is not intercepted itself.
void deliver_injected(Cpu& cpu, const Event& event);

/// Delivers an interrupt or NMI between instructions, ending HLT; faults on the way are delivered in its place.
void deliver_interrupt(Cpu& cpu, u8 vector, EventKind kind);

/// INT n, INT3, INTO, INT1, behind which CpuState::rip stands. False: the fault is raised and nothing changed.
[[nodiscard]] bool software_interrupt(Cpu& cpu, const Record& r, u8 vector, EventKind kind);

/// --- The forms of delivery, by mode. False: the fault is raised; registers are unchanged unless in_new_task. ---
[[nodiscard]] bool deliver_real_mode(Cpu& cpu, const Event& event);
[[nodiscard]] bool deliver_protected(Cpu& cpu, Event& event);
[[nodiscard]] bool deliver_long_mode(Cpu& cpu, const Event& event);

/// Error code of a fault that names an IDT entry.
constexpr u32 idt_code(u8 vector) { return vector * 8u + 2; }

}  // namespace bunshin
