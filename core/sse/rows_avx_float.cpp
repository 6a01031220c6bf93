// VEX-encoded floating-point instructions.

#include "core/sse/bind_vex.h"
#include "core/sse/float.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

// clang-format off
constexpr Row rows[] = {
    {"VEX.NP.0F.WIG 58 /r", "vaddps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<addps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 58 /r", "vaddss", {Op::Vx, Op::Hx, Op::Wd},
     vex_scalar<vex_fp<addss, Tiny::Ss, Low4>>, Feature::Avx, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_float_rows() { return rows; }

}  // namespace bunshin::sse
