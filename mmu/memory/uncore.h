#pragma once

// What all clusters share: the L3, the directory (or the bus on which everybody snoops), memory, and the way of devices
// to it. Keeps MESI between clusters: of a line either one cluster is the owner, or any number share it.

#include <bit>
#include <optional>
#include <vector>

#include "mmu/memory/cluster.h"
#include "mmu/memory/directory.h"
#include "mmu/memory/dram.h"

namespace bunshin {

class Uncore {
 public:
  /// `frequency` in Hz, of the clock that counts cycles.
  Uncore(const MemoryHierarchyParameters& parameters, unsigned clusters, u64 lines_of_cluster, u64 frequency, u64 seed);

  /// In the order of their numbers; they must outlive the uncore's last use.
  void attach(Cluster& cluster) { clusters_.push_back(&cluster); }

  /// A line that the cluster does not have, asked for at `cycle`, when its L2 has found out. Shared: others have it.
  /// Exclusive: nobody. Modified: nobody, and memory has not got it yet.
  Grant request(unsigned cluster, const Request& request, u64 cycle);
  /// After a grant that says so, and when its line is where it belongs: prefetching may make lines go.
  void prefetch(const Request& request);
  /// The cluster shares the line and wants to own it: when it does.
  u64 upgrade(unsigned cluster, u64 line, CoreCounters& counters, u64 cycle);
  bool owns(unsigned cluster, u64 line) const;
  /// False with one cluster: nobody need be told who has a line.
  bool keeps_directory() const { return directory_.has_value(); }
  /// A line has left the L2, with its data if `dirty`. `kept`: a first level still has it.
  void evict(unsigned cluster, u64 line, bool dirty, bool kept, u64 cycle);
  /// The last copy within the cluster went without a word.
  void gone(unsigned cluster, u64 line);

  Reply dma_read(u64 line, CoreCounters& counters, u64 cycle);
  Reply dma_write(u64 line, CoreCounters& counters, u64 cycle);
  /// Writes a line back from wherever it is and takes it from all caches, or leaves it there clean. When memory has it.
  u64 flush(u64 line, u64 cycle, bool keep);
  /// A line, or part of one, on its way to memory past the caches: when it is accepted.
  u64 write_past(u64 line, u64 cycle) { return dram_.write(line, cycle); }
  /// Copies outside `cluster` go.
  void invalidate_elsewhere(unsigned cluster, u64 line, CoreCounters& counters, u64 cycle);
  /// Empties the caches of `cluster` and the L3 (WBINVD, or INVD if `discard`). When memory has accepted all of it.
  u64 empty(unsigned cluster, u64 cycle, bool discard);

  Cache* l3() { return l3_ ? &*l3_ : nullptr; }
  const Cache* l3() const { return l3_ ? &*l3_ : nullptr; }
  Dram& dram() { return dram_; }
  const Dram& dram() const { return dram_; }
  const Directory* directory() const { return directory_ ? &*directory_ : nullptr; }

  void reset();
  void hash(StateHash& hash) const;

 private:
  static u64 bit(unsigned cluster) { return u64{1} << cluster; }
  template <class F>
  void for_each(u64 clusters, F f) {
    for (; clusters != 0; clusters &= clusters - 1) f(*clusters_[static_cast<unsigned>(std::countr_zero(clusters))]);
  }

  /// Clusters that may have the line: with one, nobody keeps a directory.
  u64 holders(u64 line) const { return directory_ ? directory_->find(line).clusters : 1; }
  Grant from_owner(unsigned cluster, const Request& request, u64 owner, u64 ready);
  /// From the L3, from the clusters of `sharers`, or from memory.
  Grant from_below(const Request& request, u64 sharers, u64 ready);
  Grant hit_l3(const Request& request, u64 index, u64 sharers, u64 ready);
  void put_into_l3(u64 line, LineState state, u64 flags, u64 cycle);
  void write_back(u64 line, u64 cycle);
  /// Where everybody who is asked has answered.
  u64 lookup(u64 cycle, u64 passed);

  CoherenceParameters costs_;
  u64 l2_latency_;
  std::optional<Cache> l3_;
  std::optional<Directory> directory_;
  Dram dram_;
  std::vector<Cluster*> clusters_;
};

}  // namespace bunshin
