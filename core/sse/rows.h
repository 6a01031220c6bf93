#pragma once

// The chapters of simd_rows().

#include <span>

#include "core/decode/row.h"

namespace bunshin::sse {

std::span<const Row> mmx_rows();          // MMX registers, all generations
std::span<const Row> move_rows();         // XMM moves, loads, stores, shuffles, element transfers
std::span<const Row> integer_rows();      // XMM integer arithmetic
std::span<const Row> float_rows();        // XMM floating point
std::span<const Row> special_rows();      // strings, CRC32, AES, PCLMULQDQ, SHA; VEX forms too
std::span<const Row> state_rows();        // FXSAVE, XSAVE, MXCSR, fences, cache hints
std::span<const Row> avx_move_rows();     // VEX: moves, loads, stores, element transfers
std::span<const Row> avx_permute_rows();  // VEX: shuffles, blends, permutations, broadcasts, bitwise logic
std::span<const Row> avx_masked_rows();   // VEX: masked moves, gathers
std::span<const Row> avx_integer_rows();  // VEX: integer arithmetic
std::span<const Row> avx_float_rows();    // VEX: floating-point arithmetic and comparisons
std::span<const Row> avx_convert_rows();  // VEX: conversions, F16C
std::span<const Row> avx_fma_rows();      // FMA3

}  // namespace bunshin::sse
