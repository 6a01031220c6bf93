// Four programs that miss every TLB, in 512 MiB of 4 KiB pages: what a walk costs when page tables exceed the
// paging-structure caches too. The command line names one: gups, join, btree, graph. Memory keeps the zeros it starts with,
// so that there is nothing to set up; addresses depend on what is loaded all the same, as in the programs they stand for.

#include "guests/tlb_bound/tlb_bound.h"

#include "guests/bench/bench.h"

namespace {

using guest::u64;

constexpr u64 entries = 512, pages = 131072, bytes = pages * guest::page_bytes;

alignas(4096) u64 directory[entries];
alignas(4096) u64 tables[pages];

void map_pages() {
  for (u64 i = 0; i < pages; ++i) tables[i] = (guest::arena + i * guest::page_bytes) | guest::Present | guest::Writable;
  for (u64 i = 0; i < pages / entries; ++i) {
    directory[i] = reinterpret_cast<u64>(tables + i * entries) | guest::Present | guest::Writable;
  }
  guest::open_window(directory);
}

volatile u64& word(u64 offset) { return *reinterpret_cast<volatile u64*>(guest::window + offset); }

/// SplitMix64's finalizer: what a hash join hashes with.
u64 hash(u64 x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

/// Random updates of all of memory (HPC Challenge, RandomAccess): no locality at all.
u64 gups(u64 rounds) {
  for (u64 i = 1; i <= rounds; ++i) {
    volatile u64& at = word(hash(i) % bytes & ~u64{7});
    at = at ^ (i * 8);
  }
  return word(hash(rounds) % bytes & ~u64{7});
}

/// The probe of a hash join: tuples of 16 bytes read in order, a bucket of 64 bytes in a table of 256 MiB for each, and
/// every other one is written to the result, in order.
u64 join(u64 rounds) {
  constexpr u64 table = 0, probe = u64{256} << 20, result = u64{384} << 20, relation = u64{128} << 20;
  u64 found = 0;
  for (u64 i = 1; i <= rounds; ++i) {
    const u64 key = word(probe + i * 16 % relation) + i;
    const u64 bucket = table + hash(key) % (u64{256} << 20) / 64 * 64;
    const u64 payload = word(bucket) + word(bucket + 8);
    if (hash(key) >> 63 != 0) word(result + ++found * 16 % relation) = payload + key;
  }
  return found;
}

/// Look-ups in a B-tree: nodes of 512 bytes with 32 children, 2^19 leaves in 256 MiB. The upper levels stay in the caches and
/// the TLBs.
u64 btree(u64 rounds) {
  constexpr u64 levels = 5, node = 512;
  constexpr u64 first[levels] = {0, 1, 17, 529, 16913}, children[levels] = {1, 16, 512, 16384, 524288};
  u64 sum = 0;
  for (u64 i = 1; i <= rounds; ++i) {
    const u64 key = hash(i);
    u64 seen = 0;
    for (u64 level = 0; level < levels; ++level) {
      const u64 number = (key >> 32) * children[level] >> 32;
      const u64 begin = (first[level] + number + seen) * node;
      // Binary search: the middle, a quarter, the place.
      seen = word(begin + 256) | word(begin + (key & 1) * 256 + 128) | word(begin + key % 64 * 8);
    }
    sum += seen + key;
  }
  return sum;
}

/// Ranks of a graph's vertices, edges in order: half of a vertex' neighbours are near it, the others anywhere, early vertices
/// more often (a power law).
u64 graph(u64 rounds) {
  constexpr u64 ranks = 0, edges = u64{384} << 20, vertices = (u64{384} << 20) / 8;
  u64 sum = 0;
  for (u64 i = 1; i <= rounds; ++i) {
    const u64 vertex = i / 8 * 1021 % vertices;
    const u64 random = hash(i) + word(edges + i * 8 % (u64{128} << 20));
    u64 target;
    if (random % 2 != 0) {
      target = (vertex + (random >> 8) % 65536) % vertices;
    } else {
      const u64 steepness = static_cast<u64>(__builtin_ctzll(random >> 8 | 1 << 10));
      target = (random >> 20) % (vertices >> steepness);
    }
    volatile u64& rank = word(ranks + target * 8);
    rank = rank + 8;
    sum += rank;
  }
  return sum;
}

struct Workload {
  const char* name;
  u64 (*run)(u64 rounds);
};
constexpr Workload workloads[] = {{"gups", gups}, {"join", join}, {"btree", btree}, {"graph", graph}};

/// The long size is the short one twice: the difference of two runs is the program without its beginning.
constexpr guest::Sizes sizes{600'000, 300'000};

}  // namespace

guest::u32 run_tlb_bound() {
  map_pages();
  for (const Workload& w : workloads) {
    if (guest::command_line_holds(w.name)) return guest::measure(w.name, sizes, w.run);
  }
  guest::print("tlb_bound: name one of gups, join, btree, graph\n");
  return 1;
}
