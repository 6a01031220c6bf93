// 64 MiB of data: a chase of pointers, each in a cache line of its own, in random order; then passes over all of it.

#include "guests/bench/bench.h"

namespace {

using guest::u64;

constexpr u64 bytes = 64 << 20, line_bytes = 64;
constexpr u64 lines = bytes / line_bytes, words = bytes / sizeof(u64);
/// Steps of the chase in a round; a round of streaming goes over an eighth of the memory.
constexpr u64 steps_per_round = 6000, words_per_round = words / 8;

u64* const memory = reinterpret_cast<u64*>(guest::arena);

u64& line(u64 index) { return memory[index * (line_bytes / sizeof(u64))]; }

/// One cycle through all lines (Sattolo's algorithm).
void link_lines() {
  guest::Random random;
  for (u64 i = 0; i < lines; ++i) line(i) = i;
  for (u64 i = lines - 1; i > 0; --i) {
    const u64 j = random.below(i);
    const u64 held = line(i);
    line(i) = line(j);
    line(j) = held;
  }
}

u64 chase(u64 steps) {
  u64 at = 0, sum = 0;
  for (; steps != 0; --steps) {
    at = line(at);
    sum = sum * 3 + at;
  }
  return sum;
}

u64 stream(u64 rounds) {
  u64 sum = 0, at = 0;
  for (; rounds != 0; --rounds) {
    for (u64* word = memory + at; word != memory + at + words_per_round; ++word) {
      sum += *word;
      *word = sum;
    }
    at = (at + words_per_round) % words;
  }
  return sum;
}

u64 run(u64 rounds) {
  const u64 sum = chase(rounds * steps_per_round);
  return sum ^ stream(rounds);
}

}  // namespace

guest::u32 kernel_main() {
  link_lines();
  return guest::measure("mem", {500, 2}, run);
}
