#pragma once

// Statistics of regions of interest: what the machine's counts grew by while a region was open.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/stats.h"

namespace bunshin {

class RegionStatistics {
 public:
  /// Regions beyond this many are not recorded: a guest may make up numbers.
  static constexpr std::size_t max_regions = 64;

  /// `read` gives the values of `registry`'s counts, all of which have been registered; both must outlive it.
  using Read = std::function<void(std::vector<u64>&)>;
  RegionStatistics(const StatRegistry& registry, Read read) : registry_(registry), read_(std::move(read)) {}

  /// A region that is open already stays open until it has been ended as often as begun. Ends without a beginning are
  /// counted, and do nothing else.
  void begin(const std::string& name, u64 cycle);
  void end(const std::string& name, u64 cycle);

  /// Adds `region.NAME.` + the name of every count that moved, `region.NAME.entries` and `region.NAME.cycles`. Regions
  /// that
  /// are open count up to now.
  void add_to(std::map<std::string, StatValue>& stats, u64 cycle) const;

 private:
  struct Region {
    u64 entries = 0;
    u64 unmatched_ends = 0;
    u64 cycles = 0;
    u64 depth = 0;
    u64 begun_at = 0;
    std::vector<u64> before;  ///< counts when it was opened
    std::vector<u64> sums;
  };
  Region* find(const std::string& name);
  /// `region` with what has been counted since it was opened.
  void close(Region& region, u64 cycle) const;

  const StatRegistry& registry_;
  Read read_;
  std::map<std::string, Region> regions_;
  u64 not_recorded_ = 0;
};

}  // namespace bunshin
