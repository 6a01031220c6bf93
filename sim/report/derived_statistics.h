#pragma once

// What follows from the counters: cycles per instruction, misses per thousand instructions, and their like. For the whole
// run and for every region of interest that has the counters under a prefix.

#include <map>
#include <string>
#include <vector>

#include "base/stats.h"

namespace bunshin {

using StatMap = std::map<std::string, StatValue>;

/// Prefixes under which a run's statistics appear: "" first, and one for each region, such as "roi.".
std::vector<std::string> statistics_scopes(const StatMap& stats);

/// Adds the derived values; those whose divisor is zero are zero.
void add_derived_statistics(StatMap& stats);

}  // namespace bunshin
