#pragma once

// The statistics as files that people and spreadsheets read.

#include <string>

#include "sim/report/derived_statistics.h"

namespace bunshin {

/// {"dotted.name": {"value": …, "unit": "…", "description": "…"}}.
std::string stats_json(const StatMap& stats);
/// name,value,unit,description; quoted as RFC 4180 says.
std::string stats_csv(const StatMap& stats);
/// A table for each unit of the machine; counters that stayed zero are left out.
std::string stats_text(const StatMap& stats);

/// A statistic's value as text, digits grouped.
std::string show_value(const StatValue& stat);
/// 1234567 as 1 234 567.
std::string grouped(u64 value, const char* separator = " ");

}  // namespace bunshin
