#pragma once

// A small hierarchy with round numbers, and the rules that hold between caches at any time.

#include <map>
#include <string>

#include <gtest/gtest.h>

#include "mmu/memory/hierarchy.h"

namespace bunshin {

inline constexpr u64 gigahertz = 1'000'000'000;  ///< a cycle is 1000 ps

/// L1 4 cycles, L2 12, L3 40, DRAM 100 more, always. No bandwidth limits.
inline MemoryHierarchyParameters small_hierarchy() {
  MemoryHierarchyParameters p;
  p.l1i = {.size = 2048, .ways = 2, .latency = 3, .replacement = "lru", .mshrs = 4, .prefetcher = {}};
  p.l1d = {.size = 4096, .ways = 4, .latency = 4, .replacement = "lru", .mshrs = 8, .prefetcher = {}};
  p.l2.size = 16384;
  p.l2.ways = 8;
  p.l2.latency = 12;
  p.l2.line_cycles = 0;
  p.l3.size = 65536;
  p.l3.ways = 16;
  p.l3.latency = 40;
  p.l3.line_cycles = 0;
  p.coherence = {.upgrade = 50, .invalidation = 20, .transfer_clean = 30, .transfer_dirty = 35};
  p.dram.cas = 90'000;
  p.dram.controller = 10'000;
  p.dram.rcd = p.dram.rp = p.dram.ras = p.dram.burst = 0;
  return p;
}

inline constexpr u64 l1 = 4;
inline constexpr u64 l2 = 12;
inline constexpr u64 l3 = 40;
inline constexpr u64 dram = 140;

/// What must be true of every line, whatever happened.
class InvariantChecker {
 public:
  InvariantChecker(const MemoryHierarchy& hierarchy, const MemoryHierarchyParameters& parameters)
      : hierarchy_(hierarchy), parameters_(parameters) {}

  void check() {
    collect();
    for (const auto& [line, copies] : lines_) {
      SCOPED_TRACE("line " + std::to_string(line));
      check_line(line, copies);
    }
    if (const Directory* directory = hierarchy_.uncore().directory()) {
      EXPECT_EQ(directory->size(), lines_.size());
    }
  }

 private:
  struct Copies {
    u64 clusters = 0;
    u64 owners = 0;  ///< clusters with an exclusive or modified copy
    unsigned first_levels = 0;
    unsigned owning_first_levels = 0;
    LineState l2 = LineState::Invalid;  ///< of the latest cluster looked at
  };

  void add(const Cache& cache, unsigned cluster, bool first_level) {
    for (u64 i = 0; i < cache.lines(); ++i) {
      const Cache::Victim found = cache.line_at(i);
      if (found.state == LineState::Invalid) continue;
      Copies& copies = lines_[found.line];
      copies.clusters |= u64{1} << cluster;
      const bool owns = found.state != LineState::Shared;
      if (owns) copies.owners |= u64{1} << cluster;
      if (first_level) {
        ++copies.first_levels;
        if (owns) ++copies.owning_first_levels;
        const Cache& second = l2_of(cluster);
        const u64 index = second.find(found.line);
        if (second.inclusion() == Inclusion::Inclusive) {
          EXPECT_NE(index, Cache::npos) << "L2 is inclusive";
        }
        if (owns && index != Cache::npos) {
          EXPECT_NE(second.state(index), LineState::Shared);
        }
      }
      if (const Cache* third = hierarchy_.uncore().l3(); third != nullptr) {
        if (third->inclusion() == Inclusion::Inclusive) {
          EXPECT_TRUE(third->holds(found.line)) << "L3 is inclusive";
        }
      }
    }
  }

  const Cache& l2_of(unsigned cluster) const {
    return hierarchy_.cluster_of(cluster * static_cast<unsigned>(parameters_.l2.shared_by)).l2();
  }

  void collect() {
    lines_.clear();
    const unsigned shared_by = static_cast<unsigned>(parameters_.l2.shared_by);
    for (unsigned core = 0; core < hierarchy_.cores(); ++core) {
      add(hierarchy_.caches(core).l1d, core / shared_by, true);
      add(hierarchy_.caches(core).l1i, core / shared_by, true);
      if (core % shared_by == 0) add(l2_of(core / shared_by), core / shared_by, false);
    }
  }

  void check_line(u64 line, const Copies& copies) {
    if (copies.owners != 0) {
      EXPECT_EQ(copies.owners, copies.clusters) << "an owner and other copies";
    }
    EXPECT_LE(std::popcount(copies.owners), 1);
    if (copies.owning_first_levels != 0) {
      EXPECT_EQ(copies.first_levels, 1u) << "two first levels, one owns the line";
    }
    if (const Directory* directory = hierarchy_.uncore().directory()) {
      EXPECT_EQ(directory->find(line).clusters, copies.clusters);
      if (copies.owners != 0) {
        EXPECT_TRUE(directory->find(line).owned);
      }
      if (directory->find(line).owned) {
        EXPECT_EQ(std::popcount(copies.clusters), 1);
      }
    }
  }

  const MemoryHierarchy& hierarchy_;
  const MemoryHierarchyParameters& parameters_;
  std::map<u64, Copies> lines_;
};

}  // namespace bunshin
