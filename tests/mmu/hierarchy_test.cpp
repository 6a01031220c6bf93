// Latencies to the cycle: where a line is, what is on its way, what bypasses the caches.

#include <map>
#include <random>

#include "tests/mmu/hierarchy_fixture.h"

namespace bunshin {
namespace {

using enum RequestKind;

class HierarchyTest : public ::testing::Test {
 protected:
  MemoryHierarchy& make(const MemoryHierarchyParameters& p, unsigned cores = 1) {
    hierarchy_ = std::make_unique<MemoryHierarchy>(p, cores, gigahertz, 1);
    cycle_ = 0;
    return *hierarchy_;
  }
  /// Cycles of an access when nothing else goes on.
  u64 cost(RequestKind kind, u64 address, MemoryType type = MemoryType::WriteBack, u64 ip = 0, unsigned core = 0) {
    cycle_ += 100'000;
    reply_ = hierarchy_->access(core, kind, HostPhysical(address), cycle_, ip, type);
    return reply_.complete - cycle_;
  }
  const CoreCounters& counters(unsigned core = 0) const { return hierarchy_->counters(core); }

  std::unique_ptr<MemoryHierarchy> hierarchy_;
  u64 cycle_ = 0;
  Reply reply_;
};

u64 total(const std::array<u64, access_classes>& counts) {
  u64 sum = 0;
  for (const u64 c : counts) sum += c;
  return sum;
}

TEST_F(HierarchyTest, ALoadCostsWhatTheLevelItHitsCosts) {
  make(small_hierarchy());
  EXPECT_EQ(cost(Load, 0x10000), dram);
  EXPECT_EQ(reply_.level, Level::Dram);
  EXPECT_EQ(cost(Load, 0x10038), l1);
  EXPECT_EQ(reply_.level, Level::L1);
  for (u64 i = 1; i <= 4; ++i) cost(Load, 0x10000 + i * 1024);  // same set of the L1
  EXPECT_EQ(cost(Load, 0x10000), l2);
  EXPECT_EQ(reply_.level, Level::L2);
  for (u64 i = 8; i <= 16; ++i) cost(Load, 0x10000 + i * 2048);  // same set of the L2
  EXPECT_EQ(cost(Load, 0x10000), l3);
  EXPECT_EQ(reply_.level, Level::L3);
}

/// A dependent chase around a working set, as lmbench's lat_mem_rd: average cycles of the second lap.
u64 lap(MemoryHierarchy& hierarchy, u64 bytes) {
  u64 cycle = 0;
  u64 begin = 0;
  for (int round = 0; round < 2; ++round) {
    begin = cycle;
    for (u64 a = 0; a < bytes; a += 64) cycle = hierarchy.load(0, HostPhysical(a), cycle).complete;
  }
  return (cycle - begin) / (bytes / 64);
}

TEST_F(HierarchyTest, LatencyStepsAtTheConfiguredSizes) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l2.replacement = p.l3.replacement = "lru";
  const std::map<u64, u64> expected{{64, l1},    {4096, l1},  {8192, l2},     {16384, l2},
                                    {32768, l3}, {65536, l3}, {131072, dram}, {262144, dram}};
  for (const auto& [bytes, cycles] : expected) EXPECT_EQ(lap(make(p), bytes), cycles) << bytes;
}

TEST_F(HierarchyTest, ExclusiveLevelsAddUpTheirCapacity) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l2.inclusion = "exclusive";
  p.l2.ways = 4;
  p.l2.size = 4096;
  p.l3.size = 0;
  EXPECT_EQ(lap(make(p), 8192), l2) << "4 KiB of L1 and 4 KiB of L2, cyclic: always the line that went last";
  EXPECT_EQ(lap(make(p), 16384), 12u + 100);
  p.l2.inclusion = "inclusive";
  EXPECT_EQ(lap(make(p), 8192), 12u + 100);
}

TEST_F(HierarchyTest, WithoutAnL3MissesGoFromL2ToMemory) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l3.size = 0;
  make(p);
  EXPECT_EQ(cost(Load, 0x5000), 12u + 100);
  EXPECT_EQ(reply_.level, Level::Dram);
}

TEST_F(HierarchyTest, FetchesHaveACacheOfTheirOwn) {
  make(small_hierarchy());
  EXPECT_EQ(cost(Fetch, 0x3000), dram);
  EXPECT_EQ(cost(Fetch, 0x3010), 3u);
  EXPECT_EQ(cost(Load, 0x3000), l2);
}

TEST_F(HierarchyTest, AStoreToCodeInvalidatesTheInstructionCache) {
  make(small_hierarchy());
  cost(Fetch, 0x3000);
  EXPECT_EQ(cost(Store, 0x3000), l2);
  EXPECT_EQ(cost(Fetch, 0x3000), l2 + l1) << "the modified line comes from the L1D, by way of the L2";
  EXPECT_EQ(cost(Store, 0x3000), l2) << "shared with the instruction cache, owned by the cluster";
  EXPECT_TRUE(reply_.upgraded);
  EXPECT_EQ(cost(Store, 0x3000), l1);
}

TEST_F(HierarchyTest, AMissToALineOnItsWayCompletesWithIt) {
  MemoryHierarchy& h = make(small_hierarchy());
  EXPECT_EQ(h.load(0, HostPhysical(0x1000), 1000).complete, 1000 + dram);
  const Reply merged = h.load(0, HostPhysical(0x1020), 1010);
  EXPECT_EQ(merged.complete, 1000 + dram);
  EXPECT_TRUE(merged.merged);
  EXPECT_EQ(merged.level, Level::Dram);
  EXPECT_EQ(h.load(0, HostPhysical(0x1020), 1000 + dram - l1).complete, 1000 + dram);
  EXPECT_EQ(h.load(0, HostPhysical(0x1020), 1000 + dram).complete, 1000 + dram + l1);
  EXPECT_EQ(counters().dram_reads, 1u);
  EXPECT_EQ(total(counters().l1d.merges), 1u);
  EXPECT_EQ(total(counters().l1d.misses), 1u);
}

TEST_F(HierarchyTest, AllRegistersBusyMakeAMissWait) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l1d.mshrs = 2;
  MemoryHierarchy& h = make(p);
  EXPECT_EQ(h.load(0, HostPhysical(0x1000), 1000).complete, 1000 + dram);
  EXPECT_EQ(h.load(0, HostPhysical(0x2000), 1001).complete, 1001 + dram);
  EXPECT_EQ(h.load(0, HostPhysical(0x3000), 1002).complete, 1000 + dram + dram);
  EXPECT_EQ(h.load(0, HostPhysical(0x1000), 1003).complete, 1000 + dram) << "no register for what is on its way";
  EXPECT_EQ(h.caches(0).l1d.counters().mshr_full_cycles, dram - 2);
}

TEST_F(HierarchyTest, ABurstOfMissesGoesInRoundsOfTheRegisters) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l1d.mshrs = 4;
  MemoryHierarchy& h = make(p);
  // As an out-of-order core makes them: all at once, whatever the registers do.
  for (u64 i = 0; i < 40; ++i) {
    EXPECT_EQ(h.load(0, HostPhysical(0x1000 + i * 64), 1000).complete, 1000 + dram * (1 + i / 4)) << i;
  }
}

TEST_F(HierarchyTest, IndependentMissesOverlap) {
  MemoryHierarchy& h = make(small_hierarchy());
  for (u64 i = 0; i < 8; ++i) EXPECT_EQ(h.load(0, HostPhysical(0x1000 * i), 1000).complete, 1000 + dram);
}

TEST_F(HierarchyTest, ThePortLetsOneLineThroughAtATime) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l2.line_cycles = 5;
  MemoryHierarchy& h = make(p);
  for (u64 i = 0; i < 6; ++i) cost(Load, 0x1000 + i * 0x400);  // one set of the L1: the first two are in the L2 only
  EXPECT_EQ(h.load(0, HostPhysical(0x1000), cycle_ + 1000).complete, cycle_ + 1000 + l2);
  EXPECT_EQ(h.load(0, HostPhysical(0x1400), cycle_ + 1000).complete, cycle_ + 1000 + l2 + 5);
}

TEST_F(HierarchyTest, AnInclusiveL2TakesItsLinesFromTheL1) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l2.inclusion = "inclusive";
  make(p);
  for (u64 i = 1; i <= 8; ++i) {
    cost(Load, 0);  // keeps it young in the L1, of which the L2 sees nothing
    cost(Load, i * 2048);
  }
  EXPECT_EQ(cost(Load, 0), l3) << "the L2 lost it, so the L1 did";
  EXPECT_EQ(hierarchy_->caches(0).l1d.counters().back_invalidations, 1u);
}

TEST_F(HierarchyTest, ANonInclusiveL2LeavesTheL1Alone) {
  make(small_hierarchy());
  for (u64 i = 1; i <= 8; ++i) {
    cost(Load, 0);
    cost(Load, i * 2048);
  }
  EXPECT_EQ(cost(Load, 0), l1);
}

TEST_F(HierarchyTest, AnInclusiveL3TakesItsLinesFromEverybody) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l3.inclusion = "inclusive";
  p.l3.ways = 4;
  make(p, 2);
  cost(Store, 0, MemoryType::WriteBack, 0, 1);
  for (u64 i = 1; i <= 4; ++i) cost(Load, i * 16384);
  EXPECT_EQ(hierarchy_->cluster_of(1).state_of(0), LineState::Invalid);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 1u) << "it was modified";
  EXPECT_EQ(cost(Load, 0, MemoryType::WriteBack, 0, 1), dram);
}

TEST_F(HierarchyTest, AModifiedLineIsWrittenBackStepByStep) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l3.size = 0;
  make(p);
  cost(Store, 0);
  for (u64 i = 1; i <= 4; ++i) cost(Load, i * 1024);
  EXPECT_EQ(hierarchy_->caches(0).l1d.counters().write_backs, 1u);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 0u);
  for (u64 i = 1; i <= 8; ++i) cost(Load, i * 2048);
  EXPECT_EQ(hierarchy_->cluster_of(0).l2().counters().write_backs, 1u);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 1u);
}

TEST_F(HierarchyTest, WalkersEnterWhereTheyAreTold) {
  MemoryHierarchyParameters p = small_hierarchy();
  make(p);
  cost(Walk, 0x7000);
  EXPECT_EQ(cost(Walk, 0x7008), l1);
  EXPECT_EQ(cost(WalkUpdate, 0x7008), l1);
  p.walker_entry = "l2";
  make(p);
  cost(Walk, 0x7000);
  EXPECT_EQ(cost(Walk, 0x7008), l2);
  EXPECT_EQ(cost(Load, 0x7008), l2) << "the walk did not fill the L1";
  EXPECT_EQ(counters().l2.hits[static_cast<unsigned>(AccessClass::Walk)], 1u);
}

TEST_F(HierarchyTest, UncacheableAccessesAskNobody) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.uncached = 77'000;
  make(p);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(cost(Load, 0x1000, MemoryType::Uncacheable), 77u);
    EXPECT_EQ(cost(Store, 0x1000, MemoryType::UncachedMinus), 77u);
    EXPECT_EQ(cost(Load, 0x1000, MemoryType::WriteCombining), 77u);
  }
  EXPECT_EQ(reply_.level, Level::Uncached);
  EXPECT_EQ(cost(Load, 0x1000), dram);
}

TEST_F(HierarchyTest, CombinedStoresGoToMemoryALineAtATime) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.combining_buffers = 2;
  make(p);
  for (u64 a = 0; a < 256; a += 8) EXPECT_EQ(cost(Store, 0x1000 + a, MemoryType::WriteCombining), l1);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 2u);
  hierarchy_->drain(0, cycle_ + 1000);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 4u);
}

TEST_F(HierarchyTest, CombinedStoresAreHeldBackByTheBus) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.combining_buffers = 1;
  p.dram.channels = 1;
  p.dram.burst = 10'000;
  MemoryHierarchy& h = make(p);
  u64 last = 0;
  for (u64 i = 0; i < 101; ++i) last = h.access(0, NonTemporalStore, HostPhysical(i * 64), 0).complete;
  EXPECT_EQ(last, 99u * 10);
}

TEST_F(HierarchyTest, ANonTemporalStoreEvictsTheLine) {
  make(small_hierarchy());
  cost(Load, 0x1000);
  EXPECT_EQ(cost(NonTemporalStore, 0x1000), l1);
  EXPECT_EQ(cost(Load, 0x1000), dram);
}

TEST_F(HierarchyTest, WriteThroughStoresLeaveTheLineCleanAndWriteProtectedOnesRemoveIt) {
  make(small_hierarchy());
  cost(Load, 0x1000, MemoryType::WriteThrough);
  cost(Store, 0x1000, MemoryType::WriteThrough);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 1u);
  EXPECT_EQ(cost(Load, 0x1000, MemoryType::WriteThrough), l1);
  cost(Store, 0x1000, MemoryType::WriteProtected);
  EXPECT_EQ(cost(Load, 0x1000, MemoryType::WriteProtected), dram);
}

TEST_F(HierarchyTest, FlushingWritesBackAndTakesAwayOrLeaves) {
  make(small_hierarchy());
  cost(Store, 0x1000);
  EXPECT_EQ(hierarchy_->flush_line(0, HostPhysical(0x1000), 1'000'000, true).complete, 1'000'000 + l3);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 1u);
  EXPECT_EQ(cost(Load, 0x1000), l1);
  hierarchy_->flush_line(0, HostPhysical(0x1000), 2'000'000, false);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 1u) << "it was clean";
  EXPECT_EQ(cost(Load, 0x1000), dram);
}

TEST_F(HierarchyTest, WbinvdWritesEveryModifiedLineOnce) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.dram.channels = 1;
  p.dram.burst = 10'000;
  make(p);
  for (u64 i = 0; i < 100; ++i) cost(Store, i * 64);
  const u64 before = hierarchy_->uncore().dram().counters().writes;
  const u64 complete = hierarchy_->write_back_and_invalidate(0, 100'000'000);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes - before, 100u);
  EXPECT_EQ(complete, 100'000'000u + 99 * 10);
  EXPECT_EQ(cost(Load, 0), dram + 10);
  cost(Store, 0);
  const u64 after = hierarchy_->uncore().dram().counters().writes;
  hierarchy_->invalidate(0, 200'000'000);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, after) << "INVD discards";
}

TEST_F(HierarchyTest, PrefetchInstructionsFillTheLevelsTheyName) {
  make(small_hierarchy());
  EXPECT_EQ(cost(PrefetchT0, 0x1000), dram);
  EXPECT_EQ(cost(Load, 0x1000), l1);
  cost(PrefetchT1, 0x2000);
  EXPECT_EQ(cost(Load, 0x2000), l2);
  cost(PrefetchNta, 0x3000);
  EXPECT_FALSE(hierarchy_->cluster_of(0).l2().holds(0x3000));
  EXPECT_EQ(cost(Load, 0x3000), l1);
  cost(PrefetchWrite, 0x4000);
  EXPECT_EQ(cost(Store, 0x4000), l1);
  EXPECT_EQ(total(counters().l1d.misses), 4u) << "all but the hits above and PREFETCHT1";
}

TEST_F(HierarchyTest, DevicesReadWhatACoreHasModified) {
  make(small_hierarchy());
  EXPECT_EQ(cost(DmaRead, 0x1000), dram);
  cost(Store, 0x1000);
  EXPECT_EQ(cost(DmaRead, 0x1000), l3 + 35);
  EXPECT_TRUE(reply_.dirty);
  EXPECT_EQ(cost(Store, 0x1000), l1) << "a device's read leaves the line where it is";
}

TEST_F(HierarchyTest, DevicesWritesInvalidate) {
  make(small_hierarchy());
  cost(Load, 0x1000);
  EXPECT_EQ(cost(DmaWrite, 0x1000), l3 + 20);
  EXPECT_EQ(cost(Load, 0x1000), dram);
  EXPECT_EQ(hierarchy_->counters(1).invalidations, 1u);
}

TEST_F(HierarchyTest, WithDdioDevicesWriteIntoTheL3) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.coherence.ddio = true;
  make(p);
  EXPECT_EQ(cost(DmaWrite, 0x1000), l3);
  EXPECT_EQ(cost(Load, 0x1000), l3);
  EXPECT_EQ(hierarchy_->uncore().dram().counters().writes, 0u);
}

TEST_F(HierarchyTest, ADmaOfManyLinesIsAsLongAsItsLastLine) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.dram.channels = 1;
  p.dram.burst = 10'000;
  MemoryHierarchy& h = make(p);
  EXPECT_EQ(h.dma(false, HostPhysical(0x1001), 4096, 1000), 1000 + dram + 65 * 10) << "65 lines are touched";
  EXPECT_EQ(h.dma(false, HostPhysical(0x1001), 0, 1000), 1000u);
}

TEST_F(HierarchyTest, EveryAccessIsAHitAMissOrAMerge) {
  MemoryHierarchyParameters p = small_hierarchy();
  p.l2.prefetcher.kind = "streamer";
  MemoryHierarchy& h = make(p);
  std::mt19937_64 random(5);
  u64 cycle = 0;
  for (int i = 0; i < 50'000; ++i) {
    const RequestKind kind = random() % 3 == 0 ? Store : Load;
    h.access(0, kind, HostPhysical(random() % 32768), cycle += random() % 20);
  }
  const CoreCounters& c = counters();
  EXPECT_EQ(total(c.l1d.hits) + total(c.l1d.misses) + total(c.l1d.merges), 50'000u);
  EXPECT_EQ(total(c.l2.hits) + total(c.l2.misses) + total(c.l2.merges), total(c.l1d.misses));
  EXPECT_EQ(total(c.l3.hits) + total(c.l3.misses) + total(c.l3.merges),
            total(c.l2.misses) + h.cluster_of(0).l2().counters().prefetches);
  EXPECT_EQ(h.uncore().dram().counters().reads, total(c.l3.misses));
  u64 in_histogram = 0;
  for (unsigned i = 0; i < CoreCounters::buckets; ++i) in_histogram += h.latency_count(0, i);
  EXPECT_EQ(in_histogram, 50'000u);
}

TEST_F(HierarchyTest, StatisticsAreRegisteredByName) {
  MemoryHierarchy& h = make(small_hierarchy(), 2);
  StatRegistry registry;
  h.register_statistics(registry, "cache");
  h.load(1, HostPhysical(0x40), 0);
  h.load(1, HostPhysical(0x40), 1000);
  const auto values = registry.snapshot();
  EXPECT_EQ(std::get<u64>(values.at("cache.core1.l1d.hits.load").value), 1u);
  EXPECT_EQ(std::get<u64>(values.at("cache.core1.l3.misses.load").value), 1u);
  EXPECT_EQ(std::get<u64>(values.at("cache.core0.l1d.hits.load").value), 0u);
  EXPECT_EQ(std::get<u64>(values.at("cache.dram.reads").value), 1u);
  EXPECT_EQ(std::get<u64>(values.at("cache.core1.latency.02").value), 1u);
  EXPECT_EQ(std::get<u64>(values.at("cache.core1.latency.07").value), 1u);
}

TEST_F(HierarchyTest, ResetForgetsEverythingButTheCounters) {
  MemoryHierarchy& h = make(small_hierarchy(), 2);
  const auto hash = [&] {
    StateHash state;
    h.hash(state);
    return state.value();
  };
  const u64 fresh = hash();
  cost(Store, 0x1000);
  EXPECT_NE(hash(), fresh);
  h.reset();
  EXPECT_EQ(hash(), fresh);
  EXPECT_EQ(counters().dram_reads, 1u);
  EXPECT_EQ(cost(Load, 0x1000), dram);
}

}  // namespace
}  // namespace bunshin
