#pragma once

// Linux's boot protocol (Documentation/x86/boot.rst), 64-bit entry.

#include <cstdint>

#include "guests/kvm_launcher/machine.h"

namespace launcher {

/// Puts kernel, initrd, command line and boot parameters into memory. Returns the 64-bit entry point.
std::uint64_t load_linux(const Machine& machine, const Options& options);

/// Reads all of `path` to physical `address` (whatever lies there is overwritten).
void load_flat(const Machine& machine, const char* path, std::uint64_t address);

}  // namespace launcher
