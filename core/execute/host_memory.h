#pragma once

// Where a handler finds the host's memory behind a linear address with one compare. Null: not here, go the long way.

#include "core/cpu.h"

namespace bunshin {

/// In the fast translation cache.
struct ByPage {
  static const u8* read(Cpu& cpu, u64 linear, unsigned size) { return cpu.mmu.fast().read(linear, size); }
  static u8* write(Cpu& cpu, u64 linear, unsigned size) { return cpu.mmu.fast().write(linear, size); }
  static u8* modify(Cpu& cpu, u64 linear, unsigned size) { return cpu.mmu.fast().write(linear, size); }
};

/// On an observed core: in the line filter.
struct ByLine {
  static const u8* read(Cpu& cpu, u64 linear, unsigned size) {
    const u8* host = cpu.mmu.lines().read(linear, size);
    if (host != nullptr) cpu.observation.log().add_hit(linear, false);
    return host;
  }
  static u8* write(Cpu& cpu, u64 linear, unsigned size) {
    u8* host = cpu.mmu.lines().write(linear, size);
    if (host != nullptr) cpu.observation.log().add_hit(linear, true);
    return host;
  }
  static u8* modify(Cpu& cpu, u64 linear, unsigned size) {
    u8* host = cpu.mmu.lines().modify(linear, size);
    if (host == nullptr) return nullptr;
    cpu.observation.log().add_hit(linear, false);
    cpu.observation.log().add_hit(linear, true);
    return host;
  }
};

}  // namespace bunshin
