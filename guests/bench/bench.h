#pragma once

// Frame of a benchmark guest: markers on the serial line around the measured part, and its size.

#include "guests/runtime/console.h"

namespace guest {

enum PageBits : u64 {
  Present = 1,
  Writable = 2,
  User = 4,
};

constexpr u64 page_bytes = 4096;
/// Physical memory from here to arena + 256 MiB is the benchmark's; the machine needs 512 MiB.
constexpr u64 arena = 0x200'0000;
/// Linear addresses for mappings of the benchmark's own, away from the identity map.
constexpr u64 window = u64{256} << 30;

struct Sizes {
  u64 full, brief;
};

/// Whether the command line has the word.
bool command_line_holds(const char* word);

/// Prints the start marker, calls `run(rounds)`, prints its value and the end marker, then the cycles in between.
/// `rounds` is `sizes.brief` if the command line holds the word "short", else `sizes.full`.
u32 measure(const char* name, Sizes sizes, u64 (*run)(u64 rounds));

/// Maps the 1 GiB window in the boot's page map: its page directory is `directory`.
void open_window(const u64* directory);

/// A linear congruential generator, Knuth's MMIX constants: the same numbers everywhere.
class Random {
 public:
  u64 below(u64 limit) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return (state_ >> 33) % limit;
  }

 private:
  u64 state_ = 1;
};

}  // namespace guest
