#pragma once

// The files of `--out DIR` (DESIGN.md, "Command and files").

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sim/config/machine_config.h"
#include "sim/report/derived_statistics.h"

namespace bunshin {

struct RunReport {
  const MachineConfig& config;
  StatMap stats;
  const nlohmann::json& profile;
  std::string screen;  ///< the text screen at the end, 25 lines
};

/// Writes stats.json, stats.txt, stats.csv, profile.json, run.yaml, screen.txt and report.html into the existing
/// directory, beside the console.log that lies there. Throws std::runtime_error naming a file that cannot be written.
void write_report(const std::string& directory, RunReport report);
/// `bunshin report DIR`: makes report.html, stats.txt and stats.csv again from the other files. Throws std::runtime_error
/// naming the file that is missing or not what it should be.
void render_report(const std::string& directory);

}  // namespace bunshin
