// FMA3.

#include "core/sse/bind_vex.h"
#include "core/sse/fma.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// Scalars: the upper elements are the destination's own.
template <auto op>
constexpr Binder single = vex_scalar<vex_fp_accumulate<op, Tiny::Ss, Low4>>;
template <auto op>
constexpr Binder doubled = vex_scalar<vex_fp_accumulate<op, Tiny::Sd, Low8>>;

// clang-format off
constexpr Row rows[] = {
    {"VEX.66.0F38.W0 96 /r", "vfmaddsub132ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmaddsub132ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 96 /r", "vfmaddsub132pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmaddsub132pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 97 /r", "vfmsubadd132ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsubadd132ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 97 /r", "vfmsubadd132pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsubadd132pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 98 /r", "vfmadd132ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmadd132ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 98 /r", "vfmadd132pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmadd132pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 99 /r", "vfmadd132ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfmadd132ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 99 /r", "vfmadd132sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfmadd132sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 9A /r", "vfmsub132ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsub132ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 9A /r", "vfmsub132pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsub132pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 9B /r", "vfmsub132ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfmsub132ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 9B /r", "vfmsub132sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfmsub132sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 9C /r", "vfnmadd132ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmadd132ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 9C /r", "vfnmadd132pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmadd132pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 9D /r", "vfnmadd132ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfnmadd132ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 9D /r", "vfnmadd132sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfnmadd132sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 9E /r", "vfnmsub132ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmsub132ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 9E /r", "vfnmsub132pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmsub132pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 9F /r", "vfnmsub132ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfnmsub132ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 9F /r", "vfnmsub132sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfnmsub132sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 A6 /r", "vfmaddsub213ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmaddsub213ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 A6 /r", "vfmaddsub213pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmaddsub213pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 A7 /r", "vfmsubadd213ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsubadd213ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 A7 /r", "vfmsubadd213pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsubadd213pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 A8 /r", "vfmadd213ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmadd213ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 A8 /r", "vfmadd213pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmadd213pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 A9 /r", "vfmadd213ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfmadd213ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 A9 /r", "vfmadd213sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfmadd213sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 AA /r", "vfmsub213ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsub213ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 AA /r", "vfmsub213pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsub213pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 AB /r", "vfmsub213ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfmsub213ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 AB /r", "vfmsub213sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfmsub213sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 AC /r", "vfnmadd213ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmadd213ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 AC /r", "vfnmadd213pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmadd213pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 AD /r", "vfnmadd213ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfnmadd213ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 AD /r", "vfnmadd213sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfnmadd213sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 AE /r", "vfnmsub213ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmsub213ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 AE /r", "vfnmsub213pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmsub213pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 AF /r", "vfnmsub213ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfnmsub213ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 AF /r", "vfnmsub213sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfnmsub213sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 B6 /r", "vfmaddsub231ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmaddsub231ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 B6 /r", "vfmaddsub231pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmaddsub231pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 B7 /r", "vfmsubadd231ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsubadd231ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 B7 /r", "vfmsubadd231pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsubadd231pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 B8 /r", "vfmadd231ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmadd231ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 B8 /r", "vfmadd231pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmadd231pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 B9 /r", "vfmadd231ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfmadd231ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 B9 /r", "vfmadd231sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfmadd231sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 BA /r", "vfmsub231ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsub231ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 BA /r", "vfmsub231pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfmsub231pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 BB /r", "vfmsub231ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfmsub231ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 BB /r", "vfmsub231sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfmsub231sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 BC /r", "vfnmadd231ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmadd231ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 BC /r", "vfnmadd231pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmadd231pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 BD /r", "vfnmadd231ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfnmadd231ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 BD /r", "vfnmadd231sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfnmadd231sd>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W0 BE /r", "vfnmsub231ps", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmsub231ps, Tiny::Ps>, Feature::Fma, attr::avx},
    {"VEX.66.0F38.W1 BE /r", "vfnmsub231pd", {Op::Vx, Op::Hx, Op::Wx},
     vex_fp_accumulate<vfnmsub231pd, Tiny::Pd>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W0 BF /r", "vfnmsub231ss", {Op::Vx, Op::Hx, Op::Wd}, single<vfnmsub231ss>, Feature::Fma, attr::avx},
    {"VEX.LIG.66.0F38.W1 BF /r", "vfnmsub231sd", {Op::Vx, Op::Hx, Op::Wq}, doubled<vfnmsub231sd>, Feature::Fma, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_fma_rows() { return rows; }

}  // namespace bunshin::sse
