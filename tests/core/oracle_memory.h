#pragma once

// What lies in memory where an instruction takes more than a number from it, and what of an image that an instruction
// stores may differ between processors.

#include <functional>

#include "tests/core/oracle_generate.h"

namespace bunshin::oracle {

using WriteData = std::function<void(u64 address, std::span<const u8>)>;

/// Writes (inside the writable data pages) what the case will read: selectors, far pointers, flags, state images.
void prepare_memory(const Case& c, Generator& generator, bool selectors_allowed, const WriteData& write);

/// Linear address of the memory operand.
u64 operand_address(const Case& c);

/// Linear address of the top of the stack.
u64 stack_address(const Case& c);

struct Field {
  u64 address, size;
};
/// What the instruction stores in memory that is not compared: instruction and operand pointers, and reserved fields.
std::vector<Field> uncompared_fields(const Case& c);

}  // namespace bunshin::oracle
