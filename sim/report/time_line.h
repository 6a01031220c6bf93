#pragma once

// How a run went, in a bounded number of samples: when there are too many, every other one goes and the interval doubles.

#include <vector>

#include "core/timing/run_counters.h"

namespace bunshin {

class TimeLine {
 public:
  static constexpr std::size_t capacity = 600;
  static constexpr u64 shortest_interval = 1u << 14;  ///< cycles

  struct Sample {
    u64 cycle = 0;
    u64 instructions = 0;  ///< of all cores since the run began, timed or not
    RunCounters counters;  ///< of all cores, likewise, while timed
  };

  bool due(u64 cycle) const { return cycle >= next_; }
  void add(const Sample& sample);
  /// The state at the end, which need not be due.
  void finish(const Sample& sample);

  const std::vector<Sample>& samples() const { return samples_; }
  u64 interval() const { return interval_; }

 private:
  std::vector<Sample> samples_;
  u64 interval_ = shortest_interval;
  u64 next_ = 0;
};

}  // namespace bunshin
