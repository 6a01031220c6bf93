// Page-table entries that come and go: map a page, touch it, unmap it, INVLPG.

#include "guests/bench/bench.h"

namespace {

using guest::u64;

constexpr u64 entries = 512, frames = 64;

alignas(4096) u64 directory[entries];
alignas(4096) volatile u64 table[entries];

volatile u64& at(u64 address) { return *reinterpret_cast<volatile u64*>(address); }

u64 run(u64 rounds) {
  u64 sum = 0;
  for (u64 round = 0; round < rounds; ++round) {
    for (u64 page = 0; page < entries; ++page) {
      const u64 address = guest::window + page * guest::page_bytes;
      const u64 frame = (page * 5 + round) % frames;
      table[page] = (guest::arena + frame * guest::page_bytes) | guest::Present | guest::Writable;
      at(address) = at(address) + page;
      sum = sum * 3 + at(address);
      table[page] = 0;
      guest::invalidate_page(address);
    }
  }
  return sum;
}

}  // namespace

guest::u32 kernel_main() {
  for (u64 frame = 0; frame < frames; ++frame) at(guest::arena + frame * guest::page_bytes) = frame;
  directory[0] = reinterpret_cast<u64>(table) | guest::Present | guest::Writable;
  guest::open_window(directory);
  return guest::measure("ptemod", {12'000, 50}, run);
}
