// VEX-encoded integer instructions: AVX on XMM, AVX2 on YMM registers.

#include "core/sse/bind_vex.h"
#include "core/sse/integer.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

constexpr u32 avx2 = attr::avx | attr::avx2_256;

// clang-format off
constexpr Row rows[] = {
    {"VEX.66.0F.WIG EF /r", "vpxor", {Op::Vx, Op::Hx, Op::Wx}, vex<pxor>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG FE /r", "vpaddd", {Op::Vx, Op::Hx, Op::Wx}, vex<paddd>, Feature::Avx, avx2},
};
// clang-format on

}  // namespace

std::span<const Row> avx_integer_rows() { return rows; }

}  // namespace bunshin::sse
