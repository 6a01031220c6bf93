#pragma once

#include <cstdint>

namespace launcher {

struct Options {
  const char* kernel = nullptr;  ///< a bzImage
  const char* initrd = nullptr;  ///< optional
  const char* cmdline = "console=ttyS0 panic=-1";
  const char* flat = nullptr;    ///< instead of a kernel: 64-bit code, loaded and entered at flat_address
  const char* exits = nullptr;   ///< instead of a kernel: measure exits of this kind (exit_loops.h)
  const char* prefix = "";       ///< before each line of the guest's console
  std::uint64_t rounds = 10000;  ///< of --exits
  std::uint64_t memory = 256 << 20;
  unsigned processors = 1;
  unsigned seconds = 0;     ///< give up after so long; 0: never
  bool stats = false;       ///< print how often the guest was left, and why
  bool input = false;       ///< standard input is the guest's serial line
  bool paravirtual = true;  ///< offer KVM's own CPUID leaves (kvm-clock and its kin)
};

inline constexpr std::uint64_t flat_address = 0x100000;

/// Ends the program with a message when it cannot make sense of them.
Options parse_options(int count, char** arguments);

}  // namespace launcher
