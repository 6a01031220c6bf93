#pragma once

// CMP or TEST and the conditional jump behind it, done by one handler: the operands are still at hand when the condition
// asks for them. Both keep their records; only the comparison's handler is replaced.

#include "core/decode/row.h"

namespace bunshin {

/// The handler of `compare` that also does `jump`, which follows it directly, or nullptr if there is none.
Handler fuse(const Decoded& compare, const Decoded& jump);

}  // namespace bunshin
