#pragma once

#include "sim/command_line.h"
#include "sim/run_end.h"

namespace bunshin {

/// `bunshin run`. Throws ConfigError or std::runtime_error for what the user must mend, SimulatorBug for what we must.
ExitStatus run_command(const RunOptions& options);

}  // namespace bunshin
