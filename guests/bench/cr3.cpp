// Two address spaces that differ in 64 pages: reload CR3, touch each of them.

#include "guests/bench/bench.h"

extern "C" guest::u64 page_map[512];

namespace {

using guest::u64;

constexpr u64 entries = 512, pages = 64, spaces = 2;
constexpr u64 private_slot = 1;  // of the page map: linear addresses from 512 GiB on
constexpr u64 private_window = private_slot << 39;

struct alignas(4096) Space {
  u64 map[entries], pointers[entries], directory[entries], table[entries];
};

Space space[spaces];

u64 frame(u64 index, u64 page) { return guest::arena + (index * pages + page) * guest::page_bytes; }

void prepare(u64 index) {
  constexpr u64 bits = guest::Present | guest::Writable;
  Space& s = space[index];
  s.map[0] = page_map[0];
  s.map[private_slot] = reinterpret_cast<u64>(s.pointers) | bits;
  s.pointers[0] = reinterpret_cast<u64>(s.directory) | bits;
  s.directory[0] = reinterpret_cast<u64>(s.table) | bits;
  for (u64 page = 0; page < pages; ++page) {
    s.table[page] = frame(index, page) | bits;
    *reinterpret_cast<u64*>(frame(index, page)) = index * 1000 + page;
  }
}

u64 run(u64 rounds) {
  u64 sum = 0;
  for (u64 round = 0; round < rounds; ++round) {
    asm volatile("mov %0, %%cr3" : : "r"(space[round % spaces].map) : "memory");
    for (u64 page = 0; page < pages; ++page) {
      auto& word = *reinterpret_cast<volatile u64*>(private_window + page * guest::page_bytes);
      const u64 value = word + sum;
      word = value;
      sum = sum * 3 + value;
    }
  }
  return sum;
}

}  // namespace

guest::u32 kernel_main() {
  for (u64 index = 0; index < spaces; ++index) prepare(index);
  return guest::measure("cr3", {280'000, 500}, run);
}
