#pragma once

// The chapters of simd_rows().

#include <span>

#include "core/decode/row.h"

namespace bunshin::sse {

std::span<const Row> mmx_rows();      // MMX registers, all generations
std::span<const Row> move_rows();     // XMM moves, loads, stores, shuffles, element transfers
std::span<const Row> integer_rows();  // XMM integer arithmetic
std::span<const Row> float_rows();    // XMM floating point
std::span<const Row> special_rows();  // strings, CRC32, AES, PCLMULQDQ, SHA
std::span<const Row> state_rows();    // FXSAVE, XSAVE, MXCSR, fences, cache hints

}  // namespace bunshin::sse
