#pragma once

// Far JMP, CALL and RET, and IRET (SDM vol. 2, and vol. 3, 5.8; APM vol. 2, 4.11 and 8.7).
// All expect CpuState::rip behind the instruction. False: the fault is raised and registers are unchanged.

#include "core/cpu.h"

namespace bunshin {

/// `width` is the operand size in bytes; `offset` is already truncated to it.
[[nodiscard]] bool far_jump(Cpu& cpu, u16 selector, u64 offset);
[[nodiscard]] bool far_call(Cpu& cpu, u16 selector, u64 offset, unsigned width);
/// `released` more bytes of the stack are given up.
[[nodiscard]] bool far_return(Cpu& cpu, unsigned width, u16 released);
[[nodiscard]] bool interrupt_return(Cpu& cpu, unsigned width);

/// The flags that POPF (`iret` false) or IRET may change with this operand size at the current privilege, outside
/// virtual-8086 mode.
u64 changeable_flags(const CpuState& s, unsigned width, bool iret);

}  // namespace bunshin
