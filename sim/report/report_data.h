#pragma once

// What a run left in its directory, read back: a report is made of files only, so that it can be made again.

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/timing/run_counters.h"
#include "sim/report/derived_statistics.h"

namespace bunshin {

struct ReportData {
  StatMap stats;
  nlohmann::json profile;  ///< profile.json, or an empty object
  std::string config;      ///< run.yaml
  std::string screen;
  std::string console;  ///< the last part of it

  bool has(const std::string& name) const { return stats.contains(name); }
  /// 0 if there is none, or it is a text.
  double number(const std::string& name) const;
  u64 count(const std::string& name) const { return static_cast<u64>(number(name)); }
  std::string text(const std::string& name) const;

  bool timed() const { return has("core0.timing.instructions"); }
  /// Cores that have timing statistics.
  unsigned cores() const;
  /// `scope` is "" for the whole run or a region's prefix, `privilege` "" for both or "user." and the like.
  CycleAccount account(const std::string& scope, unsigned core, const std::string& privilege = "") const;
  CycleAccount all_accounts(const std::string& scope, const std::string& privilege = "") const;
  /// "", and "user." and "supervisor." if the core ran at both in this scope.
  std::vector<std::string> privileges_of(const std::string& scope, unsigned core) const;
  /// "core 1", "… user".
  static std::string privilege_title(unsigned core, const std::string& privilege);
  /// The sum over the cores of the scope's coreN.NAME.
  u64 sum(const std::string& scope, const std::string& name) const;
  /// "the whole run", "region roi".
  static std::string scope_title(const std::string& scope);
};

/// Throws std::runtime_error naming the file that is missing or not what it should be.
ReportData read_report_data(const std::string& directory);

}  // namespace bunshin
