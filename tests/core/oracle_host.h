#pragma once

// Runs instructions on the processor underneath: loads all registers, jumps to the code, stores all registers. Linux on
// x86-64 only.

#include "tests/core/oracle_state.h"

namespace bunshin::oracle {

class HostProcessor {
 public:
  /// Maps the data, code and control pages and takes over the fault signals. Throws std::runtime_error if the addresses
  /// are not free. One at a time.
  HostProcessor();
  ~HostProcessor();
  HostProcessor(const HostProcessor&) = delete;
  HostProcessor& operator=(const HostProcessor&) = delete;

  /// Code must go on, one way or another, with a landing pad.
  Outcome run(const Registers& registers, u64 rip);
  /// Code that jumps back into run(), changing no register; Outcome::rip will be `address`, where it is to lie.
  static constexpr unsigned pad_size = 18;
  static std::array<u8, pad_size> landing_pad(u64 address);
  /// For pages that the simulated memory shadows.
  static u8* at(u64 address);
};

}  // namespace bunshin::oracle
