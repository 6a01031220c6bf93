#pragma once

#include <span>
#include <string_view>

#include "base/types.h"

namespace bunshin::vmm {

/// For a message: the instruction's name, or its kind, if it is one that is not emulated.
std::string_view describe_instruction(std::span<const u8> bytes, unsigned code_bits);

}  // namespace bunshin::vmm
