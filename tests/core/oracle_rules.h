#pragma once

// Where host and model may differ, and why.

#include <string_view>

#include "core/decode/row.h"
#include "tests/core/oracle_state.h"

namespace bunshin::oracle {

/// Why the row is not compared with the host; empty if it is.
std::string_view exclusion(const Row& row);
/// The same for one decoded instruction.
std::string_view exclusion(const Decoded& decoded);
/// The status flags that the manual leaves undefined after this instruction. `count` is the shift count before masking.
u64 undefined_flags(const Decoded& decoded, u64 count);
/// The shifted result itself is undefined.
bool undefined_result(const Decoded& decoded, u64 count);
/// Bits of MXCSR that are compared, after a trap or without one.
u32 compared_mxcsr(const Decoded& decoded, const std::optional<Trap>& trap);
/// x87 and MMX registers, tags and TOP are compared.
bool compares_x87(const Decoded& decoded, const std::optional<Trap>& trap);
/// Bits of the x87 status word that are compared.
u16 compared_fsw(const Decoded& decoded);
/// Vendors differ in this very case.
bool vendors_differ(const Decoded& decoded, const Outcome& host, const Outcome& guest);
/// The processor underneath has it.
bool host_has(Feature feature);

}  // namespace bunshin::oracle
