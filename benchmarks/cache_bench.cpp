// What the memory hierarchy costs the host, by where an access hits. The timed modes live on the first number.

#include <vector>

#include <benchmark/benchmark.h>

#include "mmu/memory/hierarchy.h"

namespace bunshin {
namespace {

constexpr u64 frequency = 2'000'000'000;

MemoryHierarchyParameters parameters(const char* replacement = "lru") {
  MemoryHierarchyParameters p;
  p.l1d.replacement = replacement;
  return p;
}

/// Addresses in a fixed pseudo-random order, `step` bytes apart.
std::vector<u64> shuffled(u64 bytes, u64 step) {
  std::vector<u64> addresses;
  for (u64 a = 0; a < bytes; a += step) addresses.push_back(a);
  u64 random = 1;
  for (u64 i = addresses.size(); i > 1; --i) {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    std::swap(addresses[i - 1], addresses[(random >> 33) % i]);
  }
  return addresses;
}

template <RequestKind Kind = RequestKind::Load>
void run(benchmark::State& state, MemoryHierarchy& hierarchy, const std::vector<u64>& addresses) {
  u64 cycle = 0;
  for (int pass = 0; pass < 3; ++pass) {
    for (const u64 a : addresses) cycle = hierarchy.access(0, Kind, HostPhysical(a), cycle).complete;
  }
  u64 done = 0;
  for (auto _ : state) {
    for (const u64 a : addresses) {
      const Reply reply = hierarchy.access(0, Kind, HostPhysical(a), cycle);
      benchmark::DoNotOptimize(reply.complete);
      cycle = reply.level == Level::L1 ? cycle + 1 : reply.complete;
    }
    done += addresses.size();
  }
  state.SetItemsProcessed(static_cast<i64>(done));
}

/// Eight bytes at a time over half the L1: every hit but one in eight is in the latest used way.
void l1_sequential(benchmark::State& state, const char* replacement) {
  MemoryHierarchy hierarchy(parameters(replacement), 1, frequency, 1);
  std::vector<u64> addresses;
  for (u64 a = 0; a < 16384; a += 8) addresses.push_back(a);
  run(state, hierarchy, addresses);
}

/// The same line all the time.
template <RequestKind Kind>
void l1_recent(benchmark::State& state) {
  MemoryHierarchy hierarchy(parameters(), 1, frequency, 1);
  run<Kind>(state, hierarchy, std::vector<u64>(1024, 0x1000));
}

/// Lines in random order: nearly every hit is in another way than the latest used.
void l1_random(benchmark::State& state, const char* replacement) {
  MemoryHierarchy hierarchy(parameters(replacement), 1, frequency, 1);
  run(state, hierarchy, shuffled(32768, 64));
}

void random_in(benchmark::State& state, u64 bytes, unsigned cores) {
  MemoryHierarchy hierarchy(parameters(), cores, frequency, 1);
  run(state, hierarchy, shuffled(bytes, 64));
}

void dram_sequential(benchmark::State& state, const char* prefetcher) {
  MemoryHierarchyParameters p = parameters();
  p.l2.prefetcher = {.kind = prefetcher, .degree = 2, .distance = 8};
  MemoryHierarchy hierarchy(p, 1, frequency, 1);
  std::vector<u64> addresses;
  for (u64 a = 0; a < u64{32} << 20; a += 64) addresses.push_back(a);
  run(state, hierarchy, addresses);
}

/// Two cores write the same line in turns.
void ping_pong(benchmark::State& state) {
  MemoryHierarchy hierarchy(parameters(), 2, frequency, 1);
  u64 cycle = 0;
  unsigned core = 0;
  for (auto _ : state) cycle = hierarchy.store(core ^= 1, HostPhysical(0x4000), cycle).complete;
  benchmark::DoNotOptimize(cycle);
}

BENCHMARK(l1_recent<RequestKind::Load>);
BENCHMARK(l1_recent<RequestKind::Store>);
BENCHMARK(l1_recent<RequestKind::Fetch>);
BENCHMARK_CAPTURE(l1_sequential, lru, "lru");
BENCHMARK_CAPTURE(l1_sequential, tree_plru, "tree-plru");
BENCHMARK_CAPTURE(l1_random, lru, "lru");
BENCHMARK_CAPTURE(l1_random, tree_plru, "tree-plru");
BENCHMARK_CAPTURE(l1_random, srrip, "srrip");
BENCHMARK_CAPTURE(random_in, l2, u64{512} << 10, 1);
BENCHMARK_CAPTURE(random_in, l2_of_two_cores, u64{512} << 10, 2);
BENCHMARK_CAPTURE(random_in, l3, u64{4} << 20, 1);
BENCHMARK_CAPTURE(random_in, dram, u64{64} << 20, 1);
BENCHMARK_CAPTURE(random_in, dram_of_two_cores, u64{64} << 20, 2);
BENCHMARK_CAPTURE(dram_sequential, no_prefetcher, "none");
BENCHMARK_CAPTURE(dram_sequential, streamer, "streamer");
BENCHMARK(ping_pong);

}  // namespace
}  // namespace bunshin

BENCHMARK_MAIN();
