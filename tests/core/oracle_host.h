#pragma once

// Runs instructions on the processor underneath: loads all registers, jumps to the code, stores all registers. Linux on
// x86-64 only. 32-bit code runs in the same process, by far jumps to Linux's 32-bit code segment and back.

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

  /// Code must go on, one way or another, with a landing pad; with a quiet one at `successor`.
  Outcome run(CodeKind kind, const Registers& registers, u64 rip, u64 successor);

  /// Code that jumps back into run(), changing no register; Outcome::rip will be `address`, where it is to lie, and CS
  /// be told.
  static constexpr unsigned pad_size = 26;
  static std::array<u8, pad_size> landing_pad(CodeKind kind, u64 address);
  /// The same, telling nothing; needs no segment.
  static constexpr unsigned quiet_pad_size = 8;
  static std::array<u8, quiet_pad_size> quiet_pad(CodeKind kind);
  /// For pages that the simulated memory shadows.
  static u8* at(u64 address);

  /// Of the host: 32-bit code can be run; YMM registers are there; so are RDFSBASE and its like; the LDT has the local
  /// segments; the GDT is that of oracle_segments.h.
  bool runs_compatibility_code() const { return compatibility_; }
  bool has_ymm() const { return ymm_; }
  bool has_segment_bases() const { return bases_; }
  bool has_local_segments() const { return ldt_; }
  bool has_linux_gdt() const { return gdt_; }

 private:
  void find_abilities();
  bool compatibility_ = false, ymm_ = false, bases_ = false, ldt_ = false, gdt_ = false;
};

}  // namespace bunshin::oracle
