#pragma once

// The symbol table that a Linux kernel carries for its own use (kernel/kallsyms.c): distributions' kernels come without another.
// Nothing in the image points to it, so it is found by its form.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "mmu/memory/physical_memory.h"

namespace bunshin {

/// Names of functions by address, from a copy of the kernel's read-only data. Empty if there is no table, or it is not of
/// a form that is known (Linux 4.6 and later, x86-64 and i386).
std::map<u64, std::string> linux_symbols(std::span<const u8> image);

struct LinuxKernel {
  /// Of its table of tokens: the kernel's code lies near, because its image is in one piece.
  HostPhysical table;
  std::map<u64, std::string> symbols;  ///< by linear address, wherever the kernel has moved itself
};

/// The kernels in memory, by address: the machine's own and those of guests on it.
std::vector<LinuxKernel> linux_kernels(const PhysicalMemory& memory);

}  // namespace bunshin
