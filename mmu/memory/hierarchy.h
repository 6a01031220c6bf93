#pragma once

// The memory hierarchy: L1I and L1D of every core, L2, L3, coherence between cores, DRAM. One question, for cores, page
// walkers and devices alike: an access begins at a cycle; at which cycle does it complete? It says what accesses cost,
// not what they read: data stays in PhysicalMemory, and nothing here changes what a guest computes.
//
// Cycles are of one clock for all cores. Accesses need not come in order of time: an out-of-order core starts them as
// operands allow, and cores run one behind the other for a quantum. Shared resources keep calendars for that; the
// contents of caches change in the order of calls.

#include <memory>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/stats.h"
#include "mmu/memory/uncore.h"
#include "mmu/memory_type.h"

namespace bunshin {

class MemoryHierarchy {
 public:
  /// `frequency` in Hz of the clock that counts cycles; `seed` of random replacement.
  /// Throws std::runtime_error, the parameter's name first, if MemoryHierarchyParameters::problem finds something.
  MemoryHierarchy(const MemoryHierarchyParameters& parameters, unsigned cores, u64 frequency, u64 seed);

  /// An access of core `core` (below `cores()`, whoever asks) to the line of a host-physical `address` below 2^52,
  /// beginning at `cycle`. `ip` is the accessing instruction's linear address where it is known: stride prefetchers want
  /// it. A prefetch completes when its line arrives; the instruction need not wait for it.
  Reply access(unsigned core, RequestKind kind, HostPhysical address, u64 cycle, u64 ip = 0,
               MemoryType type = MemoryType::WriteBack) {
    CoreCaches& caches = cores_[core];
    if (type == MemoryType::WriteBack && enters_first_level(kind)) [[likely]] {
      Cache& cache = kind == RequestKind::Fetch ? caches.l1i : caches.l1d;
      const bool plain = modifies(kind) ? cache.plain_write(address.value) : cache.plain_read(address.value);
      if (plain || cache.hit_plainly(address.value, modifies(kind))) {
        LevelCounters& counters = kind == RequestKind::Fetch ? caches.counters.l1i : caches.counters.l1d;
        ++counters.hits[static_cast<unsigned>(class_of(kind))];
        return {cycle + cache.latency(), Level::L1};
      }
    }
    return access_slowly(core, kind, address, cycle, ip, type);
  }

  Reply load(unsigned core, HostPhysical address, u64 cycle, u64 ip = 0) {
    return access(core, RequestKind::Load, address, cycle, ip);
  }
  Reply store(unsigned core, HostPhysical address, u64 cycle, u64 ip = 0) {
    return access(core, RequestKind::Store, address, cycle, ip);
  }
  Reply fetch(unsigned core, HostPhysical address, u64 cycle) {
    return access(core, RequestKind::Fetch, address, cycle, address.value);
  }
  /// A device reads or writes `bytes` from `address` on, all lines requested at once: when the last one completes.
  u64 dma(bool write, HostPhysical address, u64 bytes, u64 cycle);

  /// CLFLUSH and CLFLUSHOPT; with `keep` CLWB. When the line has been written back.
  Reply flush_line(unsigned core, HostPhysical address, u64 cycle, bool keep);
  /// WBINVD: empties the core's caches and the L3. When all of it has been written back.
  u64 write_back_and_invalidate(unsigned core, u64 cycle);
  /// INVD. Costs what it does to the caches; the data is not lost, because memory has it.
  u64 invalidate(unsigned core, u64 cycle);
  /// What an SFENCE, MFENCE or serialising instruction waits for: write-combining buffers are drained.
  u64 drain(unsigned core, u64 cycle);

  unsigned cores() const { return core_count_; }
  /// Of a core, or of all devices together (`core` == cores()).
  const CoreCounters& counters(unsigned core) const { return cores_[core].counters; }
  const CoreCaches& caches(unsigned core) const { return cores_[core]; }
  CoreCaches& caches(unsigned core) { return cores_[core]; }
  /// L1D hits of a class, those in the line filter included.
  u64 l1d_hits(unsigned core, AccessClass c) const;
  const Cluster& cluster_of(unsigned core) const { return *clusters_[core / cores_per_cluster_]; }
  const Uncore& uncore() const { return uncore_; }
  /// Demand accesses that took 2^bucket to 2^(bucket + 1) - 1 cycles, the last bucket everything longer.
  u64 latency_count(unsigned core, unsigned bucket) const;

  /// Registers every counter under `prefix` ("cache" makes cache.core0.l1d.hits.load). The hierarchy must outlive the
  /// registry's last snapshot.
  void register_statistics(StatRegistry& registry, std::string_view prefix) const;

  /// Everything as new and empty; counters stay.
  void reset();
  void hash(StateHash& hash) const;

 private:
  bool enters_first_level(RequestKind kind) const {
    return kind == RequestKind::Load || kind == RequestKind::Fetch || modifies(kind) ||
           (kind == RequestKind::Walk && walks_in_l1_);
  }
  Reply access_slowly(unsigned core, RequestKind kind, HostPhysical address, u64 cycle, u64 ip, MemoryType type);
  Reply cached(unsigned core, const Request& request);
  Reply uncached(CoreCaches& caches, const Request& request);
  Reply write_past(unsigned core, const Request& request, MemoryType type);
  Reply combine(CoreCaches& caches, const Request& request);
  Cluster& cluster(unsigned core) { return *clusters_[core / cores_per_cluster_]; }
  void register_core(StatRegistry& registry, const std::string& prefix, unsigned core) const;

  bool walks_in_l1_;
  unsigned core_count_;
  unsigned cores_per_cluster_;
  u64 uncached_latency_;
  std::vector<CoreCaches> cores_;  ///< one more than there are: its counters are the devices'
  Uncore uncore_;
  std::vector<std::unique_ptr<Cluster>> clusters_;
};

}  // namespace bunshin
