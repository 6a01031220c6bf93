#pragma once

// A first-level TLB: what it costs, not what it translates. It holds a subset of what the architectural TLB (mmu/tlb.h) holds and
// is asked only while references are logged.

#include <vector>

#include "base/state_hash.h"
#include "mmu/memory/line_filter.h"
#include "mmu/reference_log.h"
#include "mmu/tlb.h"

namespace bunshin {

class FirstLevelTlb {
 public:
  /// Throws std::runtime_error if the entries do not divide into a power of two of sets.
  explicit FirstLevelTlb(const TlbParameters& parameters);

  /// Whether the page of 2^shift bytes is there; afterwards it is.
  bool access(u64 linear, unsigned shift, u16 pcid) {
    Array& array = arrays_[shift == page_shift ? 0 : shift >= 30 ? 2 : 1];
    const u64 key = (linear >> shift) << 12 | pcid;
    if (array.last == key) [[likely]] {
      ++array.hits;
      return true;
    }
    return search(array, shift, key);
  }
  /// The guest of accesses from now on.
  void set_tag(u32 tag);
  /// Whether it is there; changes nothing.
  bool holds(u64 linear, unsigned shift, u16 pcid) const;
  /// Lines whose hits count as uses of their pages, though nobody asks this TLB; they go when their page does. Null: none.
  void set_line_filter(LineFilter* filter) { lines_ = filter; }
  /// Everything, whatever the architectural TLB keeps: a little more than it must forget.
  void flush();
  /// The same of one guest.
  void flush_tag(u32 tag);
  void flush_page(u64 linear, u32 tag);
  void hash(StateHash& hash) const;
  /// By page size.
  void register_statistics(StatRegistry& registry, const std::string& prefix) const;

 private:
  struct Array {
    u64 ways = 1;
    u64 set_mask = 0;
    u64 last = none;  ///< the page found last, most recently used in its set
    std::vector<u64> keys;
    std::vector<u32> tags;
    std::vector<u64> ages;
    u64 hits = 0, misses = 0;
  };
  static constexpr u64 none = ~u64{0};
  static Array make(const TlbArrayParameters& parameters, const char* name);
  bool search(Array& array, unsigned shift, u64 key);
  void refresh(Array& array, unsigned shift, u64 set);

  std::array<Array, 3> arrays_;
  TlbReplacement replacement_;
  u32 tag_ = 0;
  LineFilter* lines_ = nullptr;
};

}  // namespace bunshin
