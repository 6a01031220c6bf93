#pragma once

// Large operands in memory, 8-byte aligned, a multiple of 8 bytes long and no longer than a page. Nothing is written if
// any of it cannot be.

#include <span>

#include "core/cpu.h"

namespace bunshin::sse {

/// Linear addresses have 32 bits outside 64-bit mode.
inline u64 area_address(const Cpu& cpu, u64 linear, u64 by) {
  return cpu.mode.bits == 64 ? linear + by : static_cast<u32>(linear + by);
}

[[nodiscard]] inline bool write_area(Cpu& cpu, u64 linear, std::span<const u8> bytes) {
  const u64 last_page = area_address(cpu, linear, bytes.size() - 8) & ~(page_size - 1);
  if (!cpu.probe_write_linear(linear, 8)) return false;
  if (last_page != (linear & ~(page_size - 1)) && !cpu.probe_write_linear(last_page, 8)) return false;
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
