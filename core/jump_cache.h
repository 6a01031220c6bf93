#pragma once

// From RIP straight to the block there: what a return, an indirect jump or a jump to another page asks first.

#include <array>

#include "core/record.h"

namespace bunshin {

class JumpCache {
 public:
  static constexpr unsigned entries = 4096;

  /// The entry record of the block at `rip`, or nullptr. `key` tells mode, privilege and translation epoch.
  const Record* find(u64 rip, u64 key) const {
    const Entry& e = at(rip);
    return e.rip == rip && e.key == key ? e.block : nullptr;
  }
  void insert(u64 rip, u64 key, const Record* block) { at(rip) = {rip, key, block}; }
  void clear() { table_.fill({}); }

 private:
  struct Entry {
    u64 rip = 0;
    u64 key = 0;
    const Record* block = nullptr;
  };
  static unsigned slot(u64 rip) { return static_cast<unsigned>(rip ^ (rip >> 12)) % entries; }
  Entry& at(u64 rip) { return table_[slot(rip)]; }
  const Entry& at(u64 rip) const { return table_[slot(rip)]; }

  std::array<Entry, entries> table_{};
};

}  // namespace bunshin
