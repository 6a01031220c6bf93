#pragma once

// The symbol table that a Linux kernel carries for its own use (kernel/kallsyms.c): distributions' kernels come without another.
// Nothing in the image points to it, so it is found by its form.

#include <map>
#include <span>
#include <string>

#include "core/cpu.h"

namespace bunshin {

/// Names of functions by address, from a copy of the kernel's read-only data. Empty if there is no table, or it is not of
/// a form that is known (Linux 4.6 and later, x86-64).
std::map<u64, std::string> linux_symbols(std::span<const u8> image);

/// The same from a running guest's memory: around the address of its system-call entry. Empty if that is no kernel's.
std::map<u64, std::string> linux_symbols(const Cpu& cpu);

}  // namespace bunshin
