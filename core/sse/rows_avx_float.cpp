// VEX-encoded floating-point arithmetic and comparisons. Conversions are in rows_avx_convert.cpp, FMA in rows_avx_fma.cpp.

#include "core/sse/approximate.h"
#include "core/sse/bind_float.h"
#include "core/sse/bind_vex.h"
#include "core/sse/compare.h"
#include "core/sse/float.h"
#include "core/sse/round.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// Scalars: op(vvvv, rm), the upper elements from vvvv.
template <auto op, Tiny tiny = Tiny::Never>
constexpr Binder single = vex_scalar<vex_fp<op, tiny, Low4>>;
template <auto op, Tiny tiny = Tiny::Never>
constexpr Binder doubled = vex_scalar<vex_fp<op, tiny, Low8>>;

// clang-format off
constexpr Row rows[] = {
    {"VEX.LIG.NP.0F.WIG 2E /r", "vucomiss", {Op::Vx, Op::Wd}, comi<ucomiss, Low4>, Feature::Avx, attr::avx},
    {"VEX.LIG.66.0F.WIG 2E /r", "vucomisd", {Op::Vx, Op::Wq}, comi<ucomisd, Low8>, Feature::Avx, attr::avx},
    {"VEX.LIG.NP.0F.WIG 2F /r", "vcomiss", {Op::Vx, Op::Wd}, comi<comiss, Low4>, Feature::Avx, attr::avx},
    {"VEX.LIG.66.0F.WIG 2F /r", "vcomisd", {Op::Vx, Op::Wq}, comi<comisd, Low8>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 51 /r", "vsqrtps", {Op::Vx, Op::Wx}, vex_fp<sqrtps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 51 /r", "vsqrtpd", {Op::Vx, Op::Wx}, vex_fp<sqrtpd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 51 /r", "vsqrtss", {Op::Vx, Op::Hx, Op::Wd}, single<sqrtss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 51 /r", "vsqrtsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<sqrtsd>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 52 /r", "vrsqrtps", {Op::Vx, Op::Wx}, vex<rsqrtps>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 52 /r", "vrsqrtss", {Op::Vx, Op::Hx, Op::Wd},
     vex_scalar<vex<rsqrtss, Low4>>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 53 /r", "vrcpps", {Op::Vx, Op::Wx}, vex<rcpps>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 53 /r", "vrcpss", {Op::Vx, Op::Hx, Op::Wd},
     vex_scalar<vex<rcpss, Low4>>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 58 /r", "vaddps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<addps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 58 /r", "vaddpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<addpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 58 /r", "vaddss", {Op::Vx, Op::Hx, Op::Wd}, single<addss, Tiny::Ss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 58 /r", "vaddsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<addsd, Tiny::Sd>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 59 /r", "vmulps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<mulps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 59 /r", "vmulpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<mulpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 59 /r", "vmulss", {Op::Vx, Op::Hx, Op::Wd}, single<mulss, Tiny::Ss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 59 /r", "vmulsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<mulsd, Tiny::Sd>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 5C /r", "vsubps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<subps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 5C /r", "vsubpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<subpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 5C /r", "vsubss", {Op::Vx, Op::Hx, Op::Wd}, single<subss, Tiny::Ss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 5C /r", "vsubsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<subsd, Tiny::Sd>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 5D /r", "vminps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<minps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 5D /r", "vminpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<minpd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 5D /r", "vminss", {Op::Vx, Op::Hx, Op::Wd}, single<minss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 5D /r", "vminsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<minsd>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 5E /r", "vdivps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<divps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 5E /r", "vdivpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<divpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 5E /r", "vdivss", {Op::Vx, Op::Hx, Op::Wd}, single<divss, Tiny::Ss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 5E /r", "vdivsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<divsd, Tiny::Sd>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 5F /r", "vmaxps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<maxps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 5F /r", "vmaxpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<maxpd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 5F /r", "vmaxss", {Op::Vx, Op::Hx, Op::Wd}, single<maxss>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 5F /r", "vmaxsd", {Op::Vx, Op::Hx, Op::Wq}, doubled<maxsd>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 7C /r", "vhaddpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<haddpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.F2.0F.WIG 7C /r", "vhaddps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<haddps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 7D /r", "vhsubpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<hsubpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.F2.0F.WIG 7D /r", "vhsubps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<hsubps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG C2 /r", "vcmpps", {Op::Vx, Op::Hx, Op::Wx, Op::Ib}, vex_fp_imm<vcmpps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG C2 /r", "vcmppd", {Op::Vx, Op::Hx, Op::Wx, Op::Ib}, vex_fp_imm<vcmppd>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG C2 /r", "vcmpss", {Op::Vx, Op::Hx, Op::Wd, Op::Ib},
     vex_scalar<vex_fp_imm<vcmpss, Tiny::Never, Low4>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG C2 /r", "vcmpsd", {Op::Vx, Op::Hx, Op::Wq, Op::Ib},
     vex_scalar<vex_fp_imm<vcmpsd, Tiny::Never, Low8>>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG D0 /r", "vaddsubpd", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<addsubpd, Tiny::Pd>, Feature::Avx, attr::avx},
    {"VEX.F2.0F.WIG D0 /r", "vaddsubps", {Op::Vx, Op::Hx, Op::Wx}, vex_fp<addsubps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.WIG 08 /r", "vroundps", {Op::Vx, Op::Wx, Op::Ib}, vex_fp_imm<roundps>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.WIG 09 /r", "vroundpd", {Op::Vx, Op::Wx, Op::Ib}, vex_fp_imm<roundpd>, Feature::Avx, attr::avx},
    {"VEX.LIG.66.0F3A.WIG 0A /r", "vroundss", {Op::Vx, Op::Hx, Op::Wd, Op::Ib},
     vex_scalar<vex_fp_imm<roundss, Tiny::Never, Low4>>, Feature::Avx, attr::avx},
    {"VEX.LIG.66.0F3A.WIG 0B /r", "vroundsd", {Op::Vx, Op::Hx, Op::Wq, Op::Ib},
     vex_scalar<vex_fp_imm<roundsd, Tiny::Never, Low8>>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.WIG 40 /r", "vdpps", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_fp_imm<dpps, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F3A.WIG 41 /r", "vdppd", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_fp_imm<dppd, Tiny::Pd>, Feature::Avx, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_float_rows() { return rows; }

}  // namespace bunshin::sse
