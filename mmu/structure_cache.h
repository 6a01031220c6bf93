#pragma once

// The paging-structure caches (SDM vol. 3, 4.10.3): where a walk may begin below the root. One fully associative array for
// each level of entries that reference a table: PML5E, PML4E, PDPTE, PDE.

#include <array>
#include <vector>

#include "base/address.h"
#include "base/parameters.h"
#include "base/state_hash.h"
#include "mmu/access.h"

namespace bunshin {

struct StructureCacheParameters {
  /// Entries of each level; 0: entries of this level are not cached. Default: Skylake's, as measured by others (estimates).
  u64 pml5 = 0, pml4 = 4, pdpt = 4, pd = 32;

  void describe(ParameterVisitor& v);
};

class StructureCache {
 public:
  explicit StructureCache(const StructureCacheParameters& parameters);

  /// What an entry of `level` says: the table that it references, and the rights collected down to it.
  struct Entry {
    u64 tag = none;
    u64 table = 0;
    u64 last_use = 0;
    PageRights rights;
    u16 pcid = 0;
  };
  /// The entry of `level` (2 PDE … 5 PML5E) for a linear address whose bits from `shift` on it stands for.
  const Entry* find(unsigned level, u64 linear, unsigned shift, u16 pcid);
  void insert(unsigned level, u64 linear, unsigned shift, u16 pcid, u64 table, const PageRights& rights);
  void flush();
  /// MOV CR3, INVPCID, and INVLPG of any address (SDM vol. 3, 4.10.4.1).
  void flush_pcid(u16 pcid);
  void hash(StateHash& hash) const;

  /// Walks that began below an entry of `level`.
  const u64& hits(unsigned level) const { return arrays_[level].hits; }

 private:
  static constexpr u64 none = ~u64{0};
  struct Array {
    std::vector<Entry> entries;
    u64 hits = 0;
  };
  std::array<Array, 6> arrays_;  ///< by level
  u64 clock_ = 0;
};

}  // namespace bunshin
