#pragma once

#include <string>
#include <vector>

#include "sim/run_end.h"

namespace bunshin {

/// `bunshin report DIR`. Throws ConfigError for a bad command line, std::runtime_error for files that are not there.
ExitStatus report_command(const std::vector<std::string>& arguments);

}  // namespace bunshin
