#pragma once

// Where host and model may differ, and why.

#include <string_view>

#include "core/decode/row.h"

namespace bunshin::oracle {

/// Why the row is not compared with the host; empty if it is.
std::string_view exclusion(const Row& row);
/// The same for one decoded instruction.
std::string_view exclusion(const Decoded& decoded);
/// The status flags that the manual leaves undefined after this instruction. `count` is the shift count before masking.
u64 undefined_flags(const Decoded& decoded, u64 count);
/// The shifted result itself is undefined.
bool undefined_result(const Decoded& decoded, u64 count);
/// The processor underneath has it.
bool host_has(Feature feature);

}  // namespace bunshin::oracle
