#pragma once

// Interrupts that 8086 programs handle themselves: real mode, and virtual-8086 mode with VME (SDM vol. 3, 20.1.4 and
// 20.3).

#include "core/cpu.h"

namespace bunshin {

/// Pushes FLAGS, CS, IP and enters the handler whose far pointer lies at linear address `entry`.
[[nodiscard]] bool enter_8086_handler(Cpu& cpu, u64 entry, u64 pushed_flags, u64 cleared_flags, u64 return_rip);

/// Where INT n goes in virtual-8086 mode (SDM vol. 3, table 20-2).
enum class InterruptRoute : u8 { Protected, Program, Fault };
/// Fault: it has been raised.
[[nodiscard]] InterruptRoute route_virtual_8086_interrupt(Cpu& cpu, u8 vector);
/// The program's own interrupt vector table at linear address 0.
[[nodiscard]] bool deliver_to_8086_program(Cpu& cpu, u8 vector, u64 return_rip);

}  // namespace bunshin
