// One word of each of 65536 pages, 4 KiB each, in random order: nearly every access misses every TLB.

#include "guests/bench/bench.h"

namespace {

using guest::u64;

constexpr u64 pages = 65536, entries = 512;

alignas(4096) u64 directory[entries];
alignas(4096) u64 tables[pages];

/// Not always the same offset, so that the words do not share a few sets of the caches.
u64 word_address(u64 page) { return guest::window + page * guest::page_bytes + page * 64 % guest::page_bytes; }
u64& word(u64 page) { return *reinterpret_cast<u64*>(word_address(page)); }

void map_pages() {
  for (u64 i = 0; i < pages; ++i) tables[i] = (guest::arena + i * guest::page_bytes) | guest::Present | guest::Writable;
  for (u64 i = 0; i < pages / entries; ++i) {
    directory[i] = reinterpret_cast<u64>(tables + i * entries) | guest::Present | guest::Writable;
  }
  guest::open_window(directory);
}

/// One cycle through all pages (Sattolo's algorithm): each word is the address of the next.
void link_pages() {
  guest::Random random;
  for (u64 i = 0; i < pages; ++i) word(i) = word_address(i);
  for (u64 i = pages - 1; i > 0; --i) {
    const u64 j = random.below(i);
    const u64 held = word(i);
    word(i) = word(j);
    word(j) = held;
  }
}

u64 run(u64 rounds) {
  u64 at = word_address(0), sum = 0;
  for (u64 steps = rounds * pages; steps != 0; --steps) {
    at = *reinterpret_cast<const u64*>(at);
    sum = sum * 3 + at;
  }
  return sum;
}

}  // namespace

guest::u32 kernel_main() {
  map_pages();
  link_pages();
  return guest::measure("tlbmiss", {120, 1}, run);
}
