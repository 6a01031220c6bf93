#pragma once

// profile.json: what a report shows beyond the counters of stats.json, which are scalars: who ran, how the run went in time,
// the hottest address spaces, pages, functions and instructions.

#include <string>

#include <nlohmann/json_fwd.hpp>

#include "sim/config/machine_config.h"
#include "sim/debug/symbols.h"
#include "sim/machine_timing.h"
#include "sim/report/time_line.h"

namespace bunshin {

/// The guest's symbols as it runs: a kernel may have moved itself (KASLR).
class RelocatedSymbols {
 public:
  /// `system_call_entry` is LSTAR at the end of the run: where Linux has entry_SYSCALL_64, wherever it moved to.
  RelocatedSymbols(const Symbols& symbols, u64 system_call_entry);
  /// "name+0x12", or "".
  std::string describe(u64 address) const;
  /// "name", or "".
  std::string function(u64 address) const;

 private:
  const Symbols& symbols_;
  u64 slide_ = 0;
};

struct ProfileSources {
  const MachineConfig& config;
  std::string config_file;
  const MachineTiming* timing;  ///< null: the machine was never timed
  const TimeLine& time_line;
  const RelocatedSymbols& symbols;
};

nlohmann::json make_profile(const ProfileSources& sources);

}  // namespace bunshin
