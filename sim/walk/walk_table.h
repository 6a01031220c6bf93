#pragma once

// `bunshin walk --table`: the references of a walk without caches, for every combination of tables and pages, beside
// what is published.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/config/machine_config.h"
#include "sim/walk/walk_setup.h"

namespace bunshin {

/// How far a published figure was checked. The first three are gates: a difference is a failure.
enum class Evidence : u8 {
  V1,  ///< the primary text was read
  V2,  ///< a secondary transcription that names the primary's table
  D,   ///< derived by arithmetic
  M    ///< from memory
};

struct WalkTableRow {
  std::string title;               ///< of the published case
  std::optional<WalkSetup> setup;  ///< empty: a scheme that there is none of here
  std::optional<unsigned> measured;
  unsigned published = 0;
  Evidence evidence = Evidence::D;
  std::string source;
  std::string note;
  /// A difference is a failure: not where the note explains it.
  bool gated = true;

  bool miss() const { return measured && gated && *measured != published; }
};

/// Published cases first, then every combination against the general formula.
std::vector<WalkTableRow> walk_table(const MachineConfig& config);
std::string walk_table_text(const std::vector<WalkTableRow>& rows);
std::string walk_table_json(const std::vector<WalkTableRow>& rows);
/// Exit status 1.
bool any_miss(const std::vector<WalkTableRow>& rows);

}  // namespace bunshin
