// Marks, and phases whose lengths are known: what switching and regions of interest are tested with. Nothing that it
// prints
// depends on time.

#include "guests/runtime/bunshin_mark.h"
#include "guests/runtime/console.h"

namespace {

using namespace guest;

/// 2 * rounds + 1 instructions.
inline void spin(u32 rounds) { asm volatile("mov %0, %%ecx\n1: dec %%ecx\njnz 1b" : : "i"(rounds) : "ecx", "cc"); }

alignas(4096) volatile u64 buffer[16384];

u64 walk() {
  u64 sum = 0;
  for (u64 i = 0; i < 16384; i += 8) sum += buffer[i] + i;
  return sum;
}

}  // namespace

extern "C" {
[[gnu::noinline]] void phase_one() { spin(1000); }
[[gnu::noinline]] void phase_two() { spin(2000); }
[[gnu::noinline]] void phase_three() { spin(3000); }
}

extern "C" u32 kernel_main() {
  print("regions: start\n");
  bunshin_begin(0);
  spin(1000);
  bunshin_end(0);
  for (u32 i = 0; i < 3; ++i) {
    bunshin_begin(7);
    phase_one();
    bunshin_begin(8);  // overlaps: ends after 7 has ended
    phase_two();
    bunshin_end(7);
    phase_three();
    bunshin_end(8);
  }
  bunshin_begin(9);
  bunshin_begin(9);
  spin(500);
  bunshin_end(9);
  spin(500);
  bunshin_end(9);
  bunshin_end(9);  // one too many
  bunshin_request(BUNSHIN_TIMING_OOO);
  const u64 sum = walk();
  bunshin_request(BUNSHIN_TIMING_NONE);
  bunshin_point(3);
  const u64 again = walk();
  bunshin_point(4);
  print("regions: sums ", sum, " ", again, "\nregions: end\n");
  bunshin_begin(10);  // never ended
  return 0;
}
