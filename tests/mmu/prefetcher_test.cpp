// Prefetchers: what they wish for, and what it brings in a hierarchy.

#include <random>

#include "tests/mmu/hierarchy_fixture.h"

namespace bunshin {
namespace {

std::vector<u64> wishes(Prefetcher& prefetcher, u64 ip, u64 address) {
  Prefetcher::Wishes w;
  prefetcher.train(ip, address, w);
  return {w.lines.begin(), w.lines.begin() + w.count};
}

using Lines = std::vector<u64>;

TEST(Prefetcher, NextLineWishesForTheFollowingLines) {
  Prefetcher p({.kind = "next-line", .degree = 2, .distance = 1});
  EXPECT_EQ(wishes(p, 0, 0x1008), (Lines{0x1040, 0x1080}));
  EXPECT_EQ(wishes(p, 0, 0x1f80), (Lines{0x1fc0}));
  EXPECT_EQ(wishes(p, 0, 0x1fc0), Lines{}) << "the page ends";
}

TEST(Prefetcher, StrideNeedsToSeeItTwice) {
  Prefetcher p({.kind = "stride", .degree = 1, .distance = 2});
  EXPECT_EQ(wishes(p, 0x400, 0x1000), Lines{});
  EXPECT_EQ(wishes(p, 0x400, 0x1100), Lines{});
  EXPECT_EQ(wishes(p, 0x400, 0x1200), (Lines{0x1400}));
  EXPECT_EQ(wishes(p, 0x400, 0x1208), Lines{}) << "another stride";
  EXPECT_EQ(wishes(p, 0, 0x1300), Lines{}) << "no instruction, no stride";
}

TEST(Prefetcher, StridesOfTwoInstructionsDoNotMix) {
  Prefetcher p({.kind = "stride", .degree = 1, .distance = 1});
  for (u64 i = 0; i < 3; ++i) {
    const Lines up = wishes(p, 0x401, 0x1000 + i * 0x80);
    const Lines down = wishes(p, 0x402, 0x2f00 - i * 0x100);
    if (i < 2) continue;
    EXPECT_EQ(up, (Lines{0x1180}));
    EXPECT_EQ(down, (Lines{0x2c00}));
  }
}

TEST(Prefetcher, StridesBelowALineBecomeLines) {
  Prefetcher p({.kind = "stride", .degree = 1, .distance = 1});
  // Every 24 bytes, seen when a new line begins.
  EXPECT_EQ(wishes(p, 0x400, 0x1000), Lines{});
  wishes(p, 0x400, 0x1048);
  EXPECT_EQ(wishes(p, 0x400, 0x1090), (Lines{0x10c0}));
  EXPECT_EQ(wishes(p, 0x400, 0x10c0), (Lines{0x1100}));
}

TEST(Prefetcher, TheStreamerFollowsEitherDirectionAndKeepsItsDistance) {
  Prefetcher p({.kind = "streamer", .degree = 2, .distance = 4});
  EXPECT_EQ(wishes(p, 0, 0x1000), Lines{});
  EXPECT_EQ(wishes(p, 0, 0x1040), Lines{});
  EXPECT_EQ(wishes(p, 0, 0x1080), (Lines{0x10c0, 0x1100}));
  EXPECT_EQ(wishes(p, 0, 0x10c0), (Lines{0x1140, 0x1180}));
  EXPECT_EQ(wishes(p, 0, 0x1100), (Lines{0x11c0, 0x1200}));
  EXPECT_EQ(wishes(p, 0, 0x1140), (Lines{0x1240, 0x1280})) << "five lines ahead";
  EXPECT_EQ(wishes(p, 0, 0x1180), (Lines{0x12c0})) << "no further than four and degree";
  EXPECT_EQ(wishes(p, 0, 0x5fc0), Lines{});
  EXPECT_EQ(wishes(p, 0, 0x5f80), Lines{});
  EXPECT_EQ(wishes(p, 0, 0x5f40), (Lines{0x5f00, 0x5ec0}));
}

TEST(Prefetcher, NothingIsEverWishedForOutsideThePage) {
  std::mt19937_64 random(9);
  for (const char* kind : {"next-line", "stride", "streamer"}) {
    for (const u64 distance : {1, 63}) {
      Prefetcher p({.kind = kind, .degree = 8, .distance = distance});
      for (int i = 0; i < 20'000; ++i) {
        const u64 address = random() % 16 * 0x1000 + random() % 0x1000;
        for (const u64 line : wishes(p, 1 + random() % 8, address)) {
          ASSERT_EQ(line / 4096, address / 4096);
          ASSERT_EQ(line % 64, 0u);
          ASSERT_NE(line, line_of(address));
        }
      }
    }
  }
}

MemoryHierarchyParameters with_prefetcher(bool in_l1, const char* kind, u64 degree, u64 distance) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l1d.size = 32768;
  p.l2.size = 262144;
  p.l1d.mshrs = p.l2.mshrs = p.l3.mshrs = 32;
  (in_l1 ? p.l1d.prefetcher : p.l2.prefetcher) = {.kind = kind, .degree = degree, .distance = distance};
  return p;
}

/// Share in percent of `count` loads, `stride` bytes and `pause` cycles apart, that memory had to serve.
u64 misses(MemoryHierarchy& h, u64 begin, i64 stride, u64 count, u64 pause) {
  u64 cycle = 0;
  u64 missed = 0;
  for (u64 i = 0; i < count; ++i) {
    const u64 address = begin + static_cast<u64>(static_cast<i64>(i) * stride);
    const Reply reply = h.load(0, HostPhysical(address), cycle, 0x400123);
    missed += reply.level == Level::Dram && !reply.merged;
    cycle = std::max(cycle + pause, reply.complete);
  }
  return missed * 100 / count;
}

TEST(PrefetchCoverage, NextLineHalvesOrBetterWhatASequentialStreamMisses) {
  MemoryHierarchy none(with_prefetcher(false, "none", 1, 1), 1, gigahertz, 1);
  EXPECT_EQ(misses(none, 1 << 20, 64, 4096, 500), 100u);
  MemoryHierarchy next(with_prefetcher(false, "next-line", 1, 1), 1, gigahertz, 1);
  EXPECT_LE(misses(next, 1 << 20, 64, 4096, 500), 2u) << "one line of 64 begins a page";
}

TEST(PrefetchCoverage, TheStreamerCoversBothDirections) {
  MemoryHierarchy up(with_prefetcher(false, "streamer", 2, 8), 1, gigahertz, 1);
  EXPECT_LE(misses(up, 1 << 20, 64, 4096, 500), 5u) << "three lines of a page of 64";
  MemoryHierarchy down(with_prefetcher(false, "streamer", 2, 8), 1, gigahertz, 1);
  EXPECT_LE(misses(down, 2 << 20, -64, 4096, 500), 5u);
}

TEST(PrefetchCoverage, StrideCoversWhatNextLineCannot) {
  MemoryHierarchy stride(with_prefetcher(true, "stride", 1, 2), 1, gigahertz, 1);
  EXPECT_LE(misses(stride, 1 << 20, 256, 4096, 500), 27u) << "4 of the 16 lines of a page";
  MemoryHierarchy next(with_prefetcher(true, "next-line", 1, 1), 1, gigahertz, 1);
  EXPECT_EQ(misses(next, 1 << 20, 256, 4096, 500), 100u);
  EXPECT_EQ(next.caches(0).l1d.counters().prefetches_useful, 0u);
}

TEST(PrefetchCoverage, ASequentialStreamRunsFasterWithAStreamer) {
  const auto cycles = [](const char* kind) {
    MemoryHierarchy h(with_prefetcher(false, kind, 4, 16), 1, gigahertz, 1);
    u64 cycle = 0;
    for (u64 i = 0; i < 4096; ++i) cycle = h.load(0, HostPhysical((1 << 20) + i * 64), cycle).complete;
    return cycle;
  };
  EXPECT_LT(cycles("streamer") * 4, cycles("none"));
}

TEST(PrefetchCounters, UsefulLateAndUselessAreToldApart) {
  MemoryHierarchy h(with_prefetcher(false, "next-line", 1, 1), 1, gigahertz, 1);
  const CacheCounters& c = h.cluster_of(0).l2().counters();
  h.load(0, HostPhysical(0x10000), 1000);  // prefetches 0x10040
  EXPECT_EQ(c.prefetches, 1u);
  const Reply late = h.load(0, HostPhysical(0x10040), 1050);
  EXPECT_EQ(c.prefetches_late, 1u);
  EXPECT_TRUE(late.merged);
  EXPECT_EQ(late.level, Level::Dram);
  EXPECT_EQ(late.complete, 1000 + dram);
  EXPECT_EQ(h.load(0, HostPhysical(0x10080), 5000).complete, 5000 + l2);
  EXPECT_EQ(c.prefetches_useful, 1u);
  h.flush_line(0, HostPhysical(0x100c0), 9000, false);  // brought by the previous use
  EXPECT_EQ(c.prefetches_useless, 1u);
}

TEST(PrefetchCounters, WithoutAFreeRegisterNothingIsPrefetched) {
  MemoryHierarchyParameters p = with_prefetcher(false, "next-line", 8, 1);
  p.l2.mshrs = 4;
  MemoryHierarchy h(p, 1, gigahertz, 1);
  h.load(0, HostPhysical(0x10000), 1000);
  EXPECT_EQ(h.cluster_of(0).l2().counters().prefetches, 3u);
  EXPECT_EQ(h.cluster_of(0).l2().counters().prefetches_dropped, 5u);
}

TEST(PrefetchCounters, PrefetchesOccupyTheBus) {
  MemoryHierarchyParameters p = with_prefetcher(false, "next-line", 8, 1);
  p.dram.channels = 1;
  p.dram.burst = 50'000;
  MemoryHierarchy h(p, 1, gigahertz, 1);
  h.load(0, HostPhysical(0x10000), 1000);
  EXPECT_GE(h.load(0, HostPhysical(0x20000), 1001).complete, 1000 + dram + 9 * 50);
}

}  // namespace
}  // namespace bunshin
