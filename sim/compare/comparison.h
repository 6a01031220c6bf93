#pragma once

// The modes' results side by side: as text, as JSON, and as the page that `bunshin compare --out` writes.

#include <string>
#include <vector>

#include "sim/compare/mode_result.h"

namespace bunshin {

struct Comparison {
  std::string experiment;  ///< the configuration's file
  std::string guest;       ///< its kernel
  std::string processor;
  std::string timing;
  std::vector<ModeResult> results;
  /// Modes that were not run, each with a sentence that says why.
  std::vector<std::pair<std::string, std::string>> left_out;
};

std::string comparison_text(const Comparison& comparison);
/// {mode: {cycles, overhead, guest_exit, exits, cycles_by_cause, references_per_walk, table_bytes}}; `overhead` is null
/// without a native run that ended alike, `references_per_walk` if there were no walks, `cycles` and `table_bytes` of a mode that
/// could not begin.
std::string comparison_json(const Comparison& comparison);
/// Each mode's own report lies beside it, in a folder of the mode's name.
std::string comparison_html(const Comparison& comparison);

}  // namespace bunshin
