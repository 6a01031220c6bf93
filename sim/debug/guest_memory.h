#pragma once

// Guest memory as a debugger reads it: by linear address, without permission checks, faults or side effects.

#include <span>

#include "core/cpu.h"

namespace bunshin {

/// Copies what is mapped and RAM or ROM, up to the first byte that is not. Returns the number of bytes copied.
std::size_t read_linear(const Cpu& cpu, u64 linear, std::span<u8> out);
/// Likewise; decoded code that is overwritten is forgotten.
std::size_t write_linear(Cpu& cpu, u64 linear, std::span<const u8> data);

/// Linear address of the next instruction.
u64 linear_rip(const Cpu& cpu);

}  // namespace bunshin
