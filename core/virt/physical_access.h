#pragma once

// The extension's own references to memory by physical address: control structures, bitmaps, state-save areas. They are real
// references: an observed core's log has them, and so they go through the modeled caches. Where there is no RAM, reads give all
// ones and writes vanish.

#include <span>
#include <type_traits>

#include "core/cpu.h"

namespace bunshin {

void read_physical(Cpu& cpu, HostPhysical address, std::span<u8> data);
void write_physical(Cpu& cpu, HostPhysical address, std::span<const u8> data);

template <class T>
T read_physical(Cpu& cpu, HostPhysical address) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  read_physical(cpu, address, {reinterpret_cast<u8*>(&value), sizeof(T)});
  return value;
}

template <class T>
void write_physical(Cpu& cpu, HostPhysical address, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  write_physical(cpu, address, {reinterpret_cast<const u8*>(&value), sizeof(T)});
}

}  // namespace bunshin
