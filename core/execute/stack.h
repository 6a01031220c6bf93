#pragma once

// The stack as PUSH and POP see it: SS with 16-, 32- or 64-bit stack pointer (SDM vol. 1, 6.2.3).

#include "core/cpu.h"

namespace bunshin {

/// `value` with the stack pointer's width in the current mode; upper bits of RSP are kept where the manual says so.
inline u64 stack_offset(const Cpu& cpu, u64 rsp) {
  if (cpu.mode.bits == 64) return rsp;
  return cpu.mode.stack32 ? static_cast<u32>(rsp) : static_cast<u16>(rsp);
}
inline void set_stack_pointer(Cpu& cpu, u64 value) {
  if (cpu.mode.bits == 64)
    cpu.state.gpr[RSP] = value;
  else if (cpu.mode.stack32)
    cpu.state.gpr[RSP] = static_cast<u32>(value);
  else
    cpu.set_reg<u16>(RSP * 8, static_cast<u16>(value));
}

/// RSP moves only if the access succeeds.
template <class T>
[[nodiscard]] inline bool push(Cpu& cpu, T value) {
  const u64 offset = stack_offset(cpu, cpu.state.gpr[RSP] - sizeof(T));
  if (!cpu.store(Seg::SS, offset, value)) return false;
  set_stack_pointer(cpu, offset);
  return true;
}
template <class T>
[[nodiscard]] inline bool pop(Cpu& cpu, T& value) {
  const u64 offset = stack_offset(cpu, cpu.state.gpr[RSP]);
  if (!cpu.load(Seg::SS, offset, value)) return false;
  set_stack_pointer(cpu, offset + sizeof(T));
  return true;
}

}  // namespace bunshin
