#pragma once

#include <optional>
#include <string>

#include "base/types.h"

namespace bunshin {

/// Exit statuses of the command (DESIGN.md, "Command and files").
enum class ExitStatus : int { Success = 0, GuestFailure = 1, Usage = 2, Limit = 3, SimulatorBug = 4 };

/// Why and how a run ended.
struct RunEnd {
  ExitStatus status = ExitStatus::Success;
  std::string reason;
  /// What the guest wrote to the debug-exit port.
  std::optional<u64> exit_value;
};

}  // namespace bunshin
