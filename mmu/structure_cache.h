#pragma once

// The paging-structure caches of one dimension (SDM vol. 3, 4.10.3), of one of two kinds. Kind `translation`: where a walk
// may begin below the root; one fully associative array for each level of entries that reference a table (PML5E, PML4E, PDPTE,
// PDE), looked up by linear (in the second stage, guest-physical) address. Kind `entry`: see mmu/entry_cache.

#include <array>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/parameters.h"
#include "base/state_hash.h"
#include "base/stats.h"
#include "mmu/entry_cache.h"

namespace bunshin {

struct StructureCacheParameters {
  std::string kind = "translation";
  /// Entries of each level; 0: entries of this level are not cached. Default: Skylake's, as measured by others (estimates).
  u64 pml5 = 0, pml4 = 4, pdpt = 4, pd = 32;
  /// Of kind `entry`: 24 as measured on several AMD processors (revanc's README, van Schaik et al. 2017).
  u64 entries = 24;
  u64 latency = 1;  ///< of a hit of kind `entry`; an estimate

  void describe(ParameterVisitor& v);
};

class StructureCache {
 public:
  explicit StructureCache(const StructureCacheParameters& parameters);

  /// What an entry of `level` says: the table that it references, and the rights collected down to it.
  struct Entry {
    u64 tag = none;
    u64 space = 0;
    u64 table = 0;
    u64 last_use = 0;
    u64 permits = 0;
  };
  /// The entry of `level` (2 PDE … 5 PML5E) for an address whose bits from `shift` on it stands for. `space` tells address spaces
  /// apart: PCID and the guest's tag, or the second stage's.
  const Entry* find(unsigned level, u64 address, unsigned shift, u64 space);
  void insert(unsigned level, u64 address, unsigned shift, u64 space, u64 table, u64 permits);
  void flush();
  /// MOV CR3, INVPCID, and INVLPG of any address (SDM vol. 3, 4.10.4.1); INVEPT, INVVPID, INVLPGA.
  void flush_space(u64 space);
  /// All spaces of one guest.
  void flush_guest(u32 tag);
  void hash(StateHash& hash) const;

  /// Null unless the kind is `entry`.
  EntryCache* entries() { return by_translation_ ? nullptr : &entries_; }
  bool by_translation() const { return by_translation_; }

  /// Kind `translation`: walks that began below an entry of `level`. Kind `entry`: references saved.
  const u64& hits(unsigned level) const { return by_translation_ ? arrays_[level].hits : entries_.hits(level); }
  /// Walks that found nothing to begin below.
  const u64& misses() const { return misses_; }
  void count_miss() { ++misses_; }
  void register_statistics(StatRegistry& registry, const std::string& prefix) const;

 private:
  static constexpr u64 none = ~u64{0};
  struct Array {
    std::vector<Entry> entries;
    u64 hits = 0;
  };
  template <class Concerns>
  void flush_if(Concerns concerns);

  bool by_translation_ = true;
  std::array<Array, 6> arrays_;  ///< by level
  EntryCache entries_;
  u64 clock_ = 0;
  u64 misses_ = 0;
};

}  // namespace bunshin
