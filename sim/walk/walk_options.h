#pragma once

// The command line of `bunshin walk`.

#include <optional>
#include <string>
#include <vector>

#include "sim/config/machine_config.h"
#include "sim/walk/walk_setup.h"

namespace bunshin {

struct WalkOptions {
  MachineConfig config;
  WalkSetup setup;
  bool table = false;
  std::string json, svg;  ///< files; empty: none; - is standard output
};

/// Throws ConfigError for a bad command line or configuration, or a combination that no processor has: the message says
/// what is possible. Help asked for: printed, nothing returned.
std::optional<WalkOptions> parse_walk_options(const std::vector<std::string>& arguments);

}  // namespace bunshin
