#pragma once

#include <string>
#include <vector>

#include "sim/run_end.h"

namespace bunshin {

/// `bunshin compare`. Throws ConfigError and std::runtime_error.
ExitStatus compare_command(const std::vector<std::string>& arguments);

}  // namespace bunshin
