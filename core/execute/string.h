#pragma once

// The registers of string instructions: index registers and counter with the address size, direction by DF.

#include "core/cpu.h"

namespace bunshin {

/// Iterations a repeated instruction makes before events are looked at again.
inline constexpr u64 string_iterations = 4096;

inline u64 string_register(const Cpu& cpu, const Record& r, Gpr number) {
  const u64 value = cpu.state.gpr[number];
  return r.address_bytes() == 8 ? value : r.address_bytes() == 4 ? static_cast<u32>(value) : static_cast<u16>(value);
}
inline void set_string_register(Cpu& cpu, const Record& r, Gpr number, u64 value) {
  const auto offset = static_cast<u8>(number * 8);
  switch (r.address_bytes()) {
    case 2: cpu.set_reg<u16>(offset, static_cast<u16>(value)); break;
    case 4: cpu.set_reg<u32>(offset, static_cast<u32>(value)); break;
    default: cpu.set_reg<u64>(offset, value); break;
  }
}

inline u64 string_offset(const Cpu& cpu, const Record& r, Gpr number) { return string_register(cpu, r, number); }
inline u64 string_count(const Cpu& cpu, const Record& r) { return string_register(cpu, r, RCX); }
inline void decrement_string_count(Cpu& cpu, const Record& r) {
  set_string_register(cpu, r, RCX, string_count(cpu, r) - 1);
}
template <class T>
inline void advance(Cpu& cpu, const Record& r, Gpr number) {
  const u64 step = (cpu.state.flags.system & rflags::DF) != 0 ? ~u64{sizeof(T)} + 1 : sizeof(T);
  set_string_register(cpu, r, number, string_register(cpu, r, number) + step);
}

}  // namespace bunshin
