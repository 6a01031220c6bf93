#pragma once

// The symbol table that a Linux kernel carries for its own use (kernel/kallsyms.c): distributions' kernels come without another.
// Nothing in the image points to it, so it is found by its form.

#include <map>
#include <span>
#include <string>
#include <vector>

#include "mmu/memory/physical_memory.h"

namespace bunshin {

/// A kernel whose table is of a known form: Linux 4.6 and later, x86-64 and i386.
struct LinuxKernel {
  /// Of its table of tokens: the kernel's code lies near, because its image is in one piece.
  HostPhysical table;
  std::map<u64, std::string> symbols;  ///< functions by linear address, wherever the kernel has moved itself
};

/// The kernels in a piece of memory that begins at page `begin`, by address.
std::vector<LinuxKernel> linux_kernels(std::span<const u8> bytes, HostPhysical begin);
/// Those in all of a machine's memory: its own and those of guests on it.
std::vector<LinuxKernel> linux_kernels(const PhysicalMemory& memory);

}  // namespace bunshin
