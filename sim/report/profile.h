#pragma once

// profile.json: what a report shows beyond the counters of stats.json, which are scalars: who ran, how the run went in time,
// the hottest address spaces, pages, functions and instructions.

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sim/config/machine_config.h"
#include "sim/debug/code_names.h"
#include "sim/machine_timing.h"
#include "sim/report/time_line.h"

namespace bunshin {

struct ProfileSources {
  const MachineConfig& config;
  std::string config_file;
  const MachineTiming* timing;  ///< null: the machine was never timed
  const TimeLine& time_line;
  const CodeNames& names;
};

nlohmann::json make_profile(const ProfileSources& sources);

}  // namespace bunshin
