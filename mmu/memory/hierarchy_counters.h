#pragma once

// What the hierarchy counts for each requester (a core; all devices together are one more). What a cache counts for
// itself is CacheCounters (mmu/memory/cache.h), DRAM's is DramCounters (dram.h).

#include <algorithm>
#include <array>
#include <bit>

#include "mmu/memory/request_kind.h"

namespace bunshin {

/// Of one requester at one level. Every access to the level is one of the three.
struct LevelCounters {
  std::array<u64, access_classes> hits{};
  std::array<u64, access_classes> misses{};
  std::array<u64, access_classes> merges{};  ///< the line was there but still on its way

  void count(AccessClass c, bool merged) { ++(merged ? merges : hits)[static_cast<unsigned>(c)]; }
};

struct CoreCounters {
  static constexpr unsigned buckets = 20;

  LevelCounters l1i;
  LevelCounters l1d;
  LevelCounters l2;
  LevelCounters l3;
  u64 dram_reads = 0;         ///< misses and prefetches that memory served
  u64 upgrades = 0;           ///< stores that had to make other copies go
  u64 invalidations = 0;      ///< copies in other clusters that went for it
  u64 transfers_clean = 0;    ///< lines from another cluster's cache
  u64 transfers_dirty = 0;    ///< … that were modified there
  u64 uncached = 0;           ///< uncacheable accesses
  u64 combined = 0;           ///< write-combining and non-temporal stores
  u64 combining_flushes = 0;  ///< lines that left a combining buffer
  u64 flushes = 0;            ///< CLFLUSH, CLFLUSHOPT, CLWB

  /// Demand accesses that took 2^n to 2^(n+1)-1 cycles, without the plain hits, which are known from the hits.
  std::array<u64, buckets> latency{};
  u64 counted_hits_l1i = 0;  ///< L1 hits that are in `latency`
  u64 counted_hits_l1d = 0;

  static unsigned bucket(u64 cycles) {
    return cycles == 0 ? 0 : std::min(static_cast<unsigned>(std::bit_width(cycles)) - 1, buckets - 1);
  }
};

}  // namespace bunshin
