#pragma once

// `bunshin compare EXPERIMENT`: its command line, and which modes the experiment can have.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/types.h"
#include "sim/config/machine_config.h"

namespace bunshin {

struct CompareOptions {
  std::string config;
  std::vector<std::string> overrides;  ///< "key=value", for all modes
  std::string out;                     ///< directory; empty: none
  std::string json;                    ///< file; empty: none, "-": standard output
  std::vector<std::string> modes;      ///< as asked for; empty: all that the processor can
  std::optional<u64> max_cycles;
  unsigned jobs = 0;  ///< runs at once; 0: as many as the host has cores, at most two
  bool quiet = false;
};

/// Throws ConfigError for a bad command line. Help asked for: printed, nothing returned.
std::optional<CompareOptions> parse_compare_options(const std::vector<std::string>& arguments);

struct CompareMode {
  std::string name;
  std::vector<std::string> overrides;  ///< beside those of the command line
};
struct ComparePlan {
  std::vector<CompareMode> modes;
  std::vector<std::pair<std::string, std::string>> left_out;  ///< mode, and a sentence that says why
};
/// Throws ConfigError if no mode is left, or the experiment has several guests.
ComparePlan plan_modes(const CompareOptions& options, const MachineConfig& config);

}  // namespace bunshin
