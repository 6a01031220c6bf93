#pragma once

// Large operands in memory, 8-byte aligned and a multiple of 8 bytes long. A fault half-way leaves part of the area
// written, as the manual allows; the instruction writes it again when it is restarted.

#include <span>

#include "core/cpu.h"

namespace bunshin::sse {

/// Linear addresses have 32 bits outside 64-bit mode.
inline u64 area_address(const Cpu& cpu, u64 linear, u64 by) {
  return cpu.mode.bits == 64 ? linear + by : static_cast<u32>(linear + by);
}

[[nodiscard]] inline bool write_area(Cpu& cpu, u64 linear, std::span<const u8> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    u64 word = 0;
    std::memcpy(&word, bytes.data() + at, 8);
    if (!cpu.store_linear(area_address(cpu, linear, at), word)) return false;
  }
  return true;
}
[[nodiscard]] inline bool read_area(Cpu& cpu, u64 linear, std::span<u8> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += 8) {
    u64 word = 0;
    if (!cpu.load_linear(area_address(cpu, linear, at), word)) return false;
    std::memcpy(bytes.data() + at, &word, 8);
  }
  return true;
}

}  // namespace bunshin::sse
