#pragma once

// Which clusters (an L2 and the first levels above it) hold a line, and whether one of them owns it. Exact, and used for
// a directory and for snooping on a bus alike: it answers what all snoops together would; only the costs differ.

#include <vector>

#include "base/types.h"

namespace bunshin {

class Directory {
 public:
  struct Entry {
    u64 clusters = 0;    ///< bit n: cluster n has a copy
    bool owned = false;  ///< there is one copy, exclusive or modified
  };

  /// `lines`: at most so many lines have an entry at a time (the clusters' capacity together).
  explicit Directory(u64 lines);

  Entry find(u64 line) const;
  /// An entry without clusters goes away.
  void set(u64 line, Entry entry);
  void remove(u64 line, unsigned cluster);
  u64 size() const { return size_; }
  void reset();

 private:
  static constexpr u64 empty = ~u64{0};

  u64 slot_of(u64 line) const { return ((line >> 6) * 0x9e3779b97f4a7c15ULL) >> shift_; }
  /// The line's slot, or the empty one where it would go.
  u64 probe(u64 line) const;
  void erase(u64 slot);

  unsigned shift_;
  u64 mask_;
  u64 size_ = 0;
  std::vector<u64> lines_;  ///< | owned in bit 0
  std::vector<u64> clusters_;
};

}  // namespace bunshin
