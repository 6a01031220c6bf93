#pragma once

// Where host and model may differ, and why.

#include <string_view>

#include "core/decode/row.h"
#include "tests/core/oracle_generate.h"

namespace bunshin::oracle {

/// Why the row is not compared with the host in this kind of code; empty if it is.
std::string_view exclusion(const Row& row, CodeKind kind, const CpuProfile& profile);
/// The same for one case of a row that is.
std::string_view exclusion(const Case& c);
/// A jump, call or return: what follows must be prepared (oracle_flow_test.cpp).
bool is_transfer(const Row& row);
/// Completes in no user code.
bool always_traps(const Row& row);
/// Writes a segment register or its base.
bool loads_segment(const Row& row);
/// The status flags that the manual leaves undefined after this instruction. `count` is the shift count before masking.
u64 undefined_flags(const Decoded& decoded, u64 count);
/// The shifted result itself is undefined.
bool undefined_result(const Decoded& decoded, u64 count);
/// Bits of MXCSR that are compared, after a trap or without one.
u32 compared_mxcsr(const Decoded& decoded, const std::optional<Trap>& trap);
/// x87 and MMX registers, tags and TOP are compared.
bool compares_x87(const Decoded& decoded, const std::optional<Trap>& trap);
/// Bits of the x87 status word that are compared; `status` is the host's afterwards.
u16 compared_fsw(const Decoded& decoded, u16 status);
/// Likewise of RFLAGS, those that are not.
u64 undefined_flags_after_exception(const Decoded& decoded, u16 status);
/// Bits of the destination (ModRM.reg) that the manual leaves undefined.
u64 undefined_destination_bits(const Decoded& decoded);
/// The processor underneath has it.
bool host_has(Feature feature);

}  // namespace bunshin::oracle
