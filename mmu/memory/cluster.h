#pragma once

// The cores that have one L2 between them, with their first levels: what coherence between caches sees as one
// participant. A cluster owns a line (it may modify it without asking anyone) or shares it; within the cluster the
// first levels, instruction caches included, are kept coherent by the L2.

#include <span>

#include "mmu/memory/cache.h"
#include "mmu/memory/combining_buffers.h"
#include "mmu/memory/hierarchy_counters.h"

namespace bunshin {

class Uncore;

/// What belongs to one core.
struct CoreCaches {
  Cache l1d;
  Cache l1i;
  CoreCounters counters;
  CombiningBuffers combining;

  /// Fetches from a line that is its set's latest used one in the L1I, without asking anyone; false: it is not.
  bool fetch_plainly(u64 address) {
    if (!l1i.plain_read(address)) return false;
    ++counters.l1i.hits[static_cast<unsigned>(AccessClass::Fetch)];
    return true;
  }
};

struct Request {
  u64 address = 0;
  u64 cycle = 0;
  u64 ip = 0;
  RequestKind kind = RequestKind::Load;
  CoreCounters* counters = nullptr;  ///< of who asks; never null

  u64 line() const { return line_of(address); }
  AccessClass counted() const { return class_of(kind); }
};

/// What a level gives to the one above it.
struct Grant {
  Reply reply;
  LineState state = LineState::Shared;
  bool train_l2 = false;  ///< the prefetcher of the L2 (L3) wants to see the request
  bool train_l3 = false;
};

/// What a snoop found.
struct Snooped {
  bool held = false;
  bool dirty = false;
  u64 arrival = 0;  ///< not before this cycle can the line be passed on
};

class Cluster {
 public:
  /// `uncore` must outlive the cluster.
  Cluster(unsigned id, const MemoryHierarchyParameters& parameters, u64 seed, Uncore& uncore);

  /// The cores' storage must stay where it is.
  void attach(std::span<CoreCaches> cores) { cores_ = cores; }

  /// An access that goes through a first-level cache of this cluster, which counts in `counters`.
  Reply access(Cache& l1, LevelCounters& counters, const Request& request);
  /// One that begins at the L2, `passed` cycles of its latency being spent already.
  Reply access_l2(const Request& request, u64 passed);

  // Coherence: asked by the uncore.
  Snooped invalidate(u64 line, u64 cycle);
  /// Owned becomes shared; the caller takes care of the data if it was dirty.
  Snooped share(u64 line, u64 cycle);
  /// Modified becomes exclusive, written back by the caller.
  Snooped clean(u64 line, u64 cycle);
  bool holds(u64 line) const { return l2_.holds(line) || first_level_holds(line); }
  bool dirty(u64 line) const;
  LineState state_of(u64 line) const;

  Cache& l2() { return l2_; }
  const Cache& l2() const { return l2_; }
  /// Calls `f` for every cache of the cluster.
  template <class F>
  void for_each_cache(F f) {
    f(l2_);
    for (CoreCaches& core : cores_) {
      f(core.l1d);
      f(core.l1i);
    }
  }

 private:
  struct FirstLevels {
    bool held = false;
    bool owned = false;
    bool dirty = false;
    u64 arrival = 0;
  };

  Reply hit(Cache& l1, LevelCounters& counters, const Request& request, u64 index);
  Reply miss(Cache& l1, LevelCounters& counters, const Request& request);
  Grant ask_l2(const Cache* l1, const Request& request, u64 passed);
  Grant hit_l2(const Cache* l1, const Request& request, u64 index, const FirstLevels& first, u64 ready);
  Grant miss_l2(const Cache* l1, const Request& request, const FirstLevels& first, u64 ready);
  /// The line is in a first level of the cluster but not in the L2.
  Grant from_first_level(const Request& request, const FirstLevels& first, u64 ready);
  u64 upgrade(const Cache& l1, const Request& request);
  FirstLevels snoop_first_levels(const Cache* but, u64 line, bool invalidate, u64 cycle);
  bool first_level_holds(u64 line) const;
  void evict_l1(const Cache::Victim& victim, u64 cycle);
  void fill_l2(u64 line, LineState state, u64 flags, u64 cycle);
  /// Prefetching below, once a granted line is where it belongs.
  void prefetch_below(const Grant& grant, const Request& request);
  void prefetch_into_l1(Cache& l1, const Request& request);
  void prefetch_into_l2(const Request& request);

  unsigned id_;
  Uncore& uncore_;
  Cache l2_;
  std::span<CoreCaches> cores_;
};

/// Waits for a line that is still on its way into `cache`, and notes the first use of one that was prefetched. True if
/// it was: the prefetcher wants to see it.
bool settle(Cache& cache, u64 line, u64 index, Reply& reply);

}  // namespace bunshin
