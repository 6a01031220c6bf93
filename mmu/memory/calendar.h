#pragma once

// When a resource that serves one request at a time is busy: a port, a bus, a DRAM bank. Requests do not come in order
// of time (an out-of-order core starts accesses out of order, and cores run one behind the other for a quantum), so one
// "busy until" would make a request wait for another that lies in its future. The calendar keeps the latest busy
// intervals and gives a request the first gap it fits into; what is older than the intervals kept counts as free.

#include <array>

#include "base/state_hash.h"
#include "base/types.h"

namespace bunshin {

template <unsigned Capacity>
class Calendar {
 public:
  /// Books `duration` cycles, at `cycle` or at the first later moment that is free for so long; returns their begin.
  u64 reserve(u64 cycle, u64 duration) {
    if (duration == 0) return cycle;
    if (count_ == 0 || cycle > busy_[count_ - 1].end) {
      append(cycle, duration);
      return cycle;
    }
    unsigned next = count_;  // the first interval that ends after `cycle`
    while (next > 0 && busy_[next - 1].end > cycle) --next;
    u64 begin = cycle;
    for (; next < count_ && begin + duration > busy_[next].begin; ++next) begin = busy_[next].end;
    insert(next, begin, begin + duration);
    return begin;
  }

  void reset() { count_ = 0; }
  void hash(StateHash& hash) const {
    for (unsigned i = 0; i < count_; ++i) {
      hash.add(busy_[i].begin);
      hash.add(busy_[i].end);
    }
  }

 private:
  struct Interval {
    u64 begin = 0;
    u64 end = 0;
  };

  void append(u64 begin, u64 duration) {
    if (count_ == Capacity) forget_half();
    busy_[count_++] = {begin, begin + duration};
  }
  /// The past is forgotten in one go, so that appending stays cheap.
  void forget_half() {
    for (unsigned i = Capacity / 2; i < Capacity; ++i) busy_[i - Capacity / 2] = busy_[i];
    count_ -= Capacity / 2;
  }

  /// Before interval `next`, joined to its neighbours where they touch.
  void insert(unsigned next, u64 begin, u64 end) {
    const bool joins_before = next > 0 && busy_[next - 1].end == begin;
    const bool joins_after = next < count_ && busy_[next].begin == end;
    if (joins_before && joins_after) {
      busy_[next - 1].end = busy_[next].end;
      for (unsigned i = next + 1; i < count_; ++i) busy_[i - 1] = busy_[i];
      --count_;
    } else if (joins_before) {
      busy_[next - 1].end = end;
    } else if (joins_after) {
      busy_[next].begin = begin;
    } else {
      if (count_ == Capacity) {
        forget_half();
        if (next < Capacity / 2) return;  // it lies in what was just forgotten
        next -= Capacity / 2;
      }
      for (unsigned i = count_; i > next; --i) busy_[i] = busy_[i - 1];
      busy_[next] = {begin, end};
      ++count_;
    }
  }

  std::array<Interval, Capacity> busy_{};  ///< ascending, disjoint, not touching
  unsigned count_ = 0;
};

}  // namespace bunshin
