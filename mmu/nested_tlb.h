#pragma once

// The nested TLB: guest-physical pages to host-physical ones, so that the references of a two-dimensional walk need no walk of the
// second stage each (Bhargava et al., ASPLOS 2008, section 4.2). Fully associative, true LRU.

#include <vector>

#include "base/address.h"
#include "base/parameters.h"
#include "base/state_hash.h"
#include "mmu/table_walk.h"

namespace bunshin {

struct NestedTlbParameters {
  u64 entries = 16;  ///< an estimate; no vendor publishes the size
  /// The page that the guest's tables map is kept too, not only the tables' own pages.
  bool final_page = false;

  void describe(ParameterVisitor& v);
};

class NestedTlb {
 public:
  explicit NestedTlb(const NestedTlbParameters& parameters)
      : slots_(parameters.entries), final_page_(parameters.final_page) {}

  /// Null if not there, or if this kind of access needs a walk (a right that is missing, D that is not set).
  const SecondStageResult* find(u64 tag, GuestPhysical address, SecondStageAccess access, AccessKind kind);
  void insert(u64 tag, GuestPhysical address, SecondStageAccess access, const SecondStageResult& result);
  void flush();
  void flush_tag(u64 tag);
  void hash(StateHash& hash) const {
    for (const Slot& s : slots_) {
      for (const u64 v : {s.base, s.tag, s.last_use}) hash.add(v);
    }
  }

  const u64& hits() const { return hits_; }
  const u64& misses() const { return misses_; }

 private:
  struct Slot {
    u64 base = none;
    u64 tag = 0;
    u64 last_use = 0;
    SecondStageResult result;
  };
  static constexpr u64 none = ~u64{0};
  bool serves(SecondStageAccess access) const {
    return !slots_.empty() && (final_page_ || access < SecondStageAccess::Read);
  }
  static u64 base_of(GuestPhysical address, unsigned shift) { return address.value >> shift << shift; }

  std::vector<Slot> slots_;
  bool final_page_ = false;
  u64 clock_ = 0;
  u64 hits_ = 0, misses_ = 0;
};

}  // namespace bunshin
