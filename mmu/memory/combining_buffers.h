#pragma once

// Write-combining buffers of a core (SDM vol. 3, 11.3.1): stores to write-combining memory and non-temporal stores
// collect in lines; the line that has waited longest goes to memory when a buffer is needed.

#include <algorithm>
#include <utility>
#include <vector>

#include "base/state_hash.h"
#include "base/types.h"

namespace bunshin {

class CombiningBuffers {
 public:
  static constexpr u64 none = ~u64{0};

  explicit CombiningBuffers(u64 buffers) : lines_(buffers, none) {}

  bool holds(u64 line) const { return std::find(lines_.begin(), lines_.end(), line) != lines_.end(); }
  /// Begins to collect `line`; returns the line that has to go to memory for it, or none.
  u64 begin(u64 line) {
    const u64 leaving = lines_[next_];
    lines_[next_] = line;
    next_ = next_ + 1 == lines_.size() ? 0 : next_ + 1;
    return leaving;
  }
  /// Takes out one line, oldest first; none if all buffers are empty.
  u64 take() {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      u64& line = lines_[(next_ + i) % lines_.size()];
      if (line != none) return std::exchange(line, none);
    }
    return none;
  }
  void reset() {
    std::fill(lines_.begin(), lines_.end(), none);
    next_ = 0;
  }
  void hash(StateHash& hash) const {
    for (std::size_t i = 0; i < lines_.size(); ++i) hash.add(lines_[(next_ + i) % lines_.size()]);
  }

 private:
  std::vector<u64> lines_;
  std::size_t next_ = 0;
};

}  // namespace bunshin
