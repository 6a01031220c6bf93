#pragma once

// The hottest functions and instructions, as text.

#include <nlohmann/json_fwd.hpp>

#include "core/timing/hot_instructions.h"

namespace bunshin {

class CodeNames;

/// {"cycles", "executions" of all; "functions": […]; "instructions": […]; "listings": [[…]]}: code around the hottest.
nlohmann::json hot_code_json(const HotInstructions& hot, const CodeNames& names);

}  // namespace bunshin
