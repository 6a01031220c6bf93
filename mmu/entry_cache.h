#pragma once

// A cache of page-table entries by their physical address, as AMD's page walk cache is one (Bhargava et al., "Accelerating
// Two-Dimensional Page Walks for Virtualized Systems", ASPLOS 2008, section 4): one array for all levels and both dimensions, fully
// associative, true LRU. A hit saves the reference to memory, not the step of the walk. Entries that map 4 KiB pages are
// not kept: the TLB is for those.

#include <array>
#include <vector>

#include "base/address.h"
#include "base/state_hash.h"

namespace bunshin {

class EntryCache {
 public:
  explicit EntryCache(u64 entries) : slots_(entries) {}

  /// Whether the entry of `level` at this address is there; afterwards it is.
  bool access(HostPhysical address, unsigned level) {
    if (slots_.empty() || level == 1) return false;
    Slot* victim = &slots_.front();
    ++clock_;
    for (Slot& s : slots_) {
      if (s.address == address.value) {
        s.last_use = clock_;
        ++hits_[level];
        return true;
      }
      if (s.last_use < victim->last_use) victim = &s;
    }
    *victim = {address.value, clock_};
    ++misses_[level];
    return false;
  }
  void flush() {
    for (Slot& s : slots_) s = {};
  }
  void hash(StateHash& hash) const {
    for (const Slot& s : slots_) {
      hash.add(s.address);
      hash.add(s.last_use);
    }
  }

  const u64& hits(unsigned level) const { return hits_[level]; }
  const u64& misses(unsigned level) const { return misses_[level]; }

 private:
  struct Slot {
    u64 address = ~u64{0};
    u64 last_use = 0;
  };
  std::vector<Slot> slots_;
  u64 clock_ = 0;
  std::array<u64, 6> hits_{}, misses_{};  ///< by level
};

}  // namespace bunshin
