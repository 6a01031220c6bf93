#pragma once

// Miss status holding registers (Kroft, ISCA 1981): the lines on their way into a cache. A miss needs one for as long as
// it takes; a request for a line that has one completes with it.

#include <algorithm>
#include <array>
#include <vector>

#include "base/state_hash.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

/// Requests do not come in order of time. Two memories make up for what the registers themselves forget: the latest
/// span in which all of them were busy, so that a request made later but for an earlier cycle waits as well; and the
/// lines whose register went to a request that had waited for it.
class MshrFile {
 public:
  struct Entry {
    u64 line = ~u64{0};
    u64 start = 0;
    u64 complete = 0;
    Level level = Level::L1;  ///< who supplies the line
  };

  /// `entries` of at least 1.
  explicit MshrFile(u64 entries) : entries_(entries) {}

  /// When a miss at `cycle` gets a register: then, or when one becomes free. `slot` is the register.
  u64 acquire(u64 cycle, unsigned& slot) {
    u64 begin = known_full(cycle) ? full_end_ : cycle;
    if (entries_[next_].complete <= begin) {
      slot = next_;
      next_ = next_ + 1 == entries_.size() ? 0 : next_ + 1;
    } else {
      Occupancy now = occupancy(begin);
      while (now.busy == entries_.size()) now = occupancy(begin = now.first_free);
      slot = now.oldest;
    }
    if (begin != cycle) note_wait(cycle, begin, entries_[slot]);
    return begin;
  }
  /// The same for a prefetch, which is given up rather than waits.
  bool try_acquire(u64 cycle, unsigned& slot) {
    if (known_full(cycle)) return false;
    if (entries_[next_].complete > cycle && occupancy(cycle).busy == entries_.size()) return false;
    acquire(cycle, slot);
    return true;
  }

  void set(unsigned slot, const Entry& entry) { entries_[slot] = entry; }

  /// When a line that was missed is there: `cycle`, or later, and then `level` is who supplies it.
  u64 arrival(u64 line, u64 cycle, Level& level) const {
    const Entry* found = latest(entries_, line);
    if (found == nullptr && displaced_until_ > cycle) found = latest(displaced_, line);
    if (found == nullptr || found->complete <= cycle) return cycle;
    level = found->level;
    return found->complete;
  }

  void reset() {
    std::fill(entries_.begin(), entries_.end(), Entry());
    displaced_.fill(Entry());
    next_ = next_displaced_ = 0;
    full_begin_ = full_end_ = displaced_until_ = 0;
  }
  void hash(StateHash& hash) const {
    hash.add(full_begin_);
    hash.add(full_end_);
    for (const Entry& e : entries_) {
      hash.add(e.line);
      hash.add(e.complete);
    }
  }

 private:
  struct Occupancy {
    unsigned busy = 0;
    unsigned oldest = 0;
    u64 first_free = ~u64{0};
  };

  bool known_full(u64 cycle) const { return cycle < full_end_ && cycle >= full_begin_; }

  /// Registers of requests that begin later do not count.
  Occupancy occupancy(u64 cycle) const {
    Occupancy now;
    for (unsigned i = 0; i < entries_.size(); ++i) {
      const Entry& e = entries_[i];
      if (e.complete < entries_[now.oldest].complete) now.oldest = i;
      if (e.complete <= cycle || e.start > cycle) continue;
      ++now.busy;
      now.first_free = std::min(now.first_free, e.complete);
    }
    return now;
  }

  void note_wait(u64 cycle, u64 begin, const Entry& displaced) {
    const bool extends = cycle <= full_end_ && begin >= full_begin_;
    full_begin_ = extends ? std::min(full_begin_, cycle) : cycle;
    full_end_ = extends ? std::max(full_end_, begin) : begin;
    displaced_[next_displaced_] = displaced;
    displaced_until_ = std::max(displaced_until_, displaced.complete);
    next_displaced_ = (next_displaced_ + 1) % displaced_.size();
  }

  template <class Entries>
  static const Entry* latest(const Entries& entries, u64 line) {
    const Entry* found = nullptr;
    for (const Entry& e : entries) {
      if (e.line == line && (found == nullptr || e.complete > found->complete)) found = &e;
    }
    return found;
  }

  std::vector<Entry> entries_;
  unsigned next_ = 0;
  u64 full_begin_ = 0;
  u64 full_end_ = 0;
  std::array<Entry, 64> displaced_{};
  unsigned next_displaced_ = 0;
  u64 displaced_until_ = 0;  ///< the latest completion that displaced_ has had
};

}  // namespace bunshin
