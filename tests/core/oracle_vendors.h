#pragma once

// Cases in which processors of different makers, or what runs under the host's operating system, differ from the model
// although neither is wrong: recognised by the instruction and by what both did, each with its reason.

#include <string_view>

#include "tests/core/oracle_generate.h"

namespace bunshin::oracle {

/// Why this difference is no bug of the model; empty if nothing explains it.
std::string_view vendor_difference(const Case& c, const Outcome& host, const Outcome& guest);

}  // namespace bunshin::oracle
