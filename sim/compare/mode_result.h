#pragma once

// What one mode of `bunshin compare` cost, from the files that its run left behind. Nothing here is estimated but the split
// of walks that read both dimensions' tables: their stall is divided as their references' cycles are.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sim/report/report_data.h"

namespace bunshin {

struct ModeResult {
  std::string mode;
  int guest_exit = 0;  ///< the run's exit status
  std::string reason;  ///< why it ended
  bool timed = false;
  bool measured = true;  ///< false: the run left no statistics, and all below is empty
  bool reported = true;  ///< false: the hypervisor did not come to report of its guest
  /// From the guest's first instruction to its end: what the hypervisor needs to start and to report is not counted. Of a
  /// run that ended before the hypervisor's report: the whole run, without `exits` and `table_bytes`.
  u64 cycles = 0;
  std::map<std::string, u64> exits;  ///< by the hypervisor's own reasons (vmm-model/exit_table.cpp)
  /// Adds up to `cycles`, in the order of cause_names().
  std::vector<std::pair<std::string, u64>> causes;
  std::optional<double> references_per_walk;
  u64 table_bytes = 0;  ///< that the hypervisor kept for this guest at most

  u64 cause(const std::string& name) const;
};

/// Of a run that could not begin. `status` is the command's.
ModeResult unmeasured_mode(const std::string& mode, int status, const std::string& reason);
/// `native`: without the hypervisor.
ModeResult mode_result(const std::string& mode, const ReportData& data, bool native);

/// Every cause that one of the results has: the guest's, walks, world switches, handlers (costliest first), the rest.
std::vector<std::string> cause_names(const std::vector<ModeResult>& results);
/// Every reason of exits, the most frequent first.
std::vector<std::string> exit_names(const std::vector<ModeResult>& results);
/// "guest, user", "handler of page fault" …
std::string cause_title_of(const std::string& cause);
/// More than native, as a share of native: 0.5 is one and a half times as long. Empty: there is no native result, one of
/// the two has not run, or they did not end alike.
std::optional<double> overhead_of(const ModeResult& result, const std::vector<ModeResult>& results);

}  // namespace bunshin
