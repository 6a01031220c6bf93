#pragma once

// The files of `--out DIR` (DESIGN.md, "Command and files").

#include <map>
#include <string>

#include "base/stats.h"
#include "sim/config/machine_config.h"
#include "sim/run_end.h"

namespace bunshin {

struct RunReport {
  const MachineConfig& config;
  const RunEnd& end;
  const std::map<std::string, StatValue>& stats;
  std::string screen;   ///< the text screen at the end, 25 lines
  std::string console;  ///< the last part of the serial console
};

/// stats.json: {"dotted.name": {"value": …, "unit": "…", "description": "…"}}.
std::string stats_json(const std::map<std::string, StatValue>& stats);
/// A self-contained page: how the run ended, its figures, screen and console.
std::string report_html(const RunReport& report);
/// Writes stats.json, run.yaml, screen.txt and report.html into the existing directory.
/// Throws std::runtime_error naming a file that cannot be written.
void write_report(const std::string& directory, const RunReport& report);

}  // namespace bunshin
