#pragma once

// `bunshin walk`: one translation, reference by reference.

#include <string>
#include <vector>

#include "sim/run_end.h"

namespace bunshin {

/// Throws ConfigError for what is wrong with the command line, and for files that cannot be written.
/// GuestFailure: a row of --table differs from its published figure.
ExitStatus walk_command(const std::vector<std::string>& arguments);

}  // namespace bunshin
