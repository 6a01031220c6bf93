// VEX-encoded integer instructions: AVX on XMM, AVX2 on YMM registers.

#include "core/sse/bind_vex.h"
#include "core/sse/integer_extended.h"
#include "core/sse/per_lane.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

constexpr u32 avx2 = attr::avx | attr::avx2_256;

/// VPSLLV, VPSRLV, VPSRAV: a count for each element, all of whose bits matter.
template <class T>
Vec shift_left(Vec d, Vec s) {
  return map<T>(d, s, [](T x, T count) { return count < 8 * sizeof(T) ? x << count : T{0}; });
}
template <class T>
Vec shift_right(Vec d, Vec s) {
  return map<T>(d, s, [](T x, T count) { return count < 8 * sizeof(T) ? x >> count : T{0}; });
}
Vec vpsravd(Vec d, Vec s) {
  return map<u32>(d, s, [](u32 x, u32 count) { return static_cast<i32>(x) >> (count < 32 ? count : 31); });
}

/// VPMOVSX, VPMOVZX: with VEX.256 the elements of the upper lane follow those of the lower.
template <class From, class To>
struct Extend {
  Vec operator()(Vec d, Vec s) const { return pmovx<From, To>(d, s); }
  Vec256 operator()(const Vec256& d, Vec s) const {
    return {pmovx<From, To>(d.low, s), pmovx<From, To>(d.high, _mm_srli_si128(s, lane_count<To> * sizeof(From)))};
  }
};
template <class From, class To>
constexpr Extend<From, To> extend{};

// clang-format off
constexpr Row rows[] = {
    {"VEX.66.0F.WIG 60 /r", "vpunpcklbw", {Op::Vx, Op::Hx, Op::Wx}, vex<punpcklbw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 61 /r", "vpunpcklwd", {Op::Vx, Op::Hx, Op::Wx}, vex<punpcklwd>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 62 /r", "vpunpckldq", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckldq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 63 /r", "vpacksswb", {Op::Vx, Op::Hx, Op::Wx}, vex<packsswb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 64 /r", "vpcmpgtb", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpgtb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 65 /r", "vpcmpgtw", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpgtw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 66 /r", "vpcmpgtd", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpgtd>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 67 /r", "vpackuswb", {Op::Vx, Op::Hx, Op::Wx}, vex<packuswb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 68 /r", "vpunpckhbw", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckhbw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 69 /r", "vpunpckhwd", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckhwd>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 6A /r", "vpunpckhdq", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckhdq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 6B /r", "vpackssdw", {Op::Vx, Op::Hx, Op::Wx}, vex<packssdw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 6C /r", "vpunpcklqdq", {Op::Vx, Op::Hx, Op::Wx}, vex<punpcklqdq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 6D /r", "vpunpckhqdq", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckhqdq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 71 /2 reg", "vpsrlw", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psrlw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 71 /4 reg", "vpsraw", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psraw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 71 /6 reg", "vpsllw", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psllw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 72 /2 reg", "vpsrld", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psrld>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 72 /4 reg", "vpsrad", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psrad>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 72 /6 reg", "vpslld", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<pslld>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 73 /2 reg", "vpsrlq", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psrlq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 73 /3 reg", "vpsrldq", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psrldq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 73 /6 reg", "vpsllq", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<psllq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 73 /7 reg", "vpslldq", {Op::Hx, Op::Ux, Op::Ib}, vex_shift<pslldq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 74 /r", "vpcmpeqb", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpeqb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 75 /r", "vpcmpeqw", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpeqw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG 76 /r", "vpcmpeqd", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpeqd>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D1 /r", "vpsrlw", {Op::Vx, Op::Hx, Op::Wdq}, vex<psrlw, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D2 /r", "vpsrld", {Op::Vx, Op::Hx, Op::Wdq}, vex<psrld, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D3 /r", "vpsrlq", {Op::Vx, Op::Hx, Op::Wdq}, vex<psrlq, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D4 /r", "vpaddq", {Op::Vx, Op::Hx, Op::Wx}, vex<paddq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D5 /r", "vpmullw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmullw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D8 /r", "vpsubusb", {Op::Vx, Op::Hx, Op::Wx}, vex<psubusb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG D9 /r", "vpsubusw", {Op::Vx, Op::Hx, Op::Wx}, vex<psubusw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG DA /r", "vpminub", {Op::Vx, Op::Hx, Op::Wx}, vex<pminub>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG DB /r", "vpand", {Op::Vx, Op::Hx, Op::Wx}, vex<pand>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG DC /r", "vpaddusb", {Op::Vx, Op::Hx, Op::Wx}, vex<paddusb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG DD /r", "vpaddusw", {Op::Vx, Op::Hx, Op::Wx}, vex<paddusw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG DE /r", "vpmaxub", {Op::Vx, Op::Hx, Op::Wx}, vex<pmaxub>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG DF /r", "vpandn", {Op::Vx, Op::Hx, Op::Wx}, vex<pandn>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E0 /r", "vpavgb", {Op::Vx, Op::Hx, Op::Wx}, vex<pavgb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E1 /r", "vpsraw", {Op::Vx, Op::Hx, Op::Wdq}, vex<psraw, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E2 /r", "vpsrad", {Op::Vx, Op::Hx, Op::Wdq}, vex<psrad, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E3 /r", "vpavgw", {Op::Vx, Op::Hx, Op::Wx}, vex<pavgw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E4 /r", "vpmulhuw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmulhuw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E5 /r", "vpmulhw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmulhw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E8 /r", "vpsubsb", {Op::Vx, Op::Hx, Op::Wx}, vex<psubsb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG E9 /r", "vpsubsw", {Op::Vx, Op::Hx, Op::Wx}, vex<psubsw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG EA /r", "vpminsw", {Op::Vx, Op::Hx, Op::Wx}, vex<pminsw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG EB /r", "vpor", {Op::Vx, Op::Hx, Op::Wx}, vex<por>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG EC /r", "vpaddsb", {Op::Vx, Op::Hx, Op::Wx}, vex<paddsb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG ED /r", "vpaddsw", {Op::Vx, Op::Hx, Op::Wx}, vex<paddsw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG EE /r", "vpmaxsw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmaxsw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG EF /r", "vpxor", {Op::Vx, Op::Hx, Op::Wx}, vex<pxor>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F1 /r", "vpsllw", {Op::Vx, Op::Hx, Op::Wdq}, vex<psllw, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F2 /r", "vpslld", {Op::Vx, Op::Hx, Op::Wdq}, vex<pslld, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F3 /r", "vpsllq", {Op::Vx, Op::Hx, Op::Wdq}, vex<psllq, Any16>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F4 /r", "vpmuludq", {Op::Vx, Op::Hx, Op::Wx}, vex<pmuludq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F5 /r", "vpmaddwd", {Op::Vx, Op::Hx, Op::Wx}, vex<pmaddwd>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F6 /r", "vpsadbw", {Op::Vx, Op::Hx, Op::Wx}, vex<psadbw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F8 /r", "vpsubb", {Op::Vx, Op::Hx, Op::Wx}, vex<psubb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG F9 /r", "vpsubw", {Op::Vx, Op::Hx, Op::Wx}, vex<psubw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG FA /r", "vpsubd", {Op::Vx, Op::Hx, Op::Wx}, vex<psubd>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG FB /r", "vpsubq", {Op::Vx, Op::Hx, Op::Wx}, vex<psubq>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG FC /r", "vpaddb", {Op::Vx, Op::Hx, Op::Wx}, vex<paddb>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG FD /r", "vpaddw", {Op::Vx, Op::Hx, Op::Wx}, vex<paddw>, Feature::Avx, avx2},
    {"VEX.66.0F.WIG FE /r", "vpaddd", {Op::Vx, Op::Hx, Op::Wx}, vex<paddd>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 00 /r", "vpshufb", {Op::Vx, Op::Hx, Op::Wx}, vex<pshufb<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 01 /r", "vphaddw", {Op::Vx, Op::Hx, Op::Wx}, vex<phaddw<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 02 /r", "vphaddd", {Op::Vx, Op::Hx, Op::Wx}, vex<phaddd<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 03 /r", "vphaddsw", {Op::Vx, Op::Hx, Op::Wx}, vex<phaddsw<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 04 /r", "vpmaddubsw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmaddubsw>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 05 /r", "vphsubw", {Op::Vx, Op::Hx, Op::Wx}, vex<phsubw<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 06 /r", "vphsubd", {Op::Vx, Op::Hx, Op::Wx}, vex<phsubd<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 07 /r", "vphsubsw", {Op::Vx, Op::Hx, Op::Wx}, vex<phsubsw<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 08 /r", "vpsignb", {Op::Vx, Op::Hx, Op::Wx}, vex<psign<i8>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 09 /r", "vpsignw", {Op::Vx, Op::Hx, Op::Wx}, vex<psign<i16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 0A /r", "vpsignd", {Op::Vx, Op::Hx, Op::Wx}, vex<psign<i32>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 0B /r", "vpmulhrsw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmulhrsw>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 1C /r", "vpabsb", {Op::Vx, Op::Wx}, vex<pabs<i8>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 1D /r", "vpabsw", {Op::Vx, Op::Wx}, vex<pabs<i16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 1E /r", "vpabsd", {Op::Vx, Op::Wx}, vex<pabs<i32>>, Feature::Avx, avx2},
    {"VEX.66.0F3A.WIG 0F /r", "vpalignr", {Op::Vx, Op::Hx, Op::Wx, Op::Ib}, vex_imm<palignr<16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 20 /r", "vpmovsxbw", {Op::Vx, Op::Wx}, vex<extend<i8, i16>, Half>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 21 /r", "vpmovsxbd", {Op::Vx, Op::Wx}, vex<extend<i8, i32>, Quarter>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 22 /r", "vpmovsxbq", {Op::Vx, Op::Wx}, vex<extend<i8, i64>, Eighth>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 23 /r", "vpmovsxwd", {Op::Vx, Op::Wx}, vex<extend<i16, i32>, Half>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 24 /r", "vpmovsxwq", {Op::Vx, Op::Wx}, vex<extend<i16, i64>, Quarter>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 25 /r", "vpmovsxdq", {Op::Vx, Op::Wx}, vex<extend<i32, i64>, Half>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 28 /r", "vpmuldq", {Op::Vx, Op::Hx, Op::Wx}, vex<pmuldq>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 29 /r", "vpcmpeqq", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpeqq>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 2B /r", "vpackusdw", {Op::Vx, Op::Hx, Op::Wx}, vex<packusdw>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 30 /r", "vpmovzxbw", {Op::Vx, Op::Wx}, vex<extend<u8, u16>, Half>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 31 /r", "vpmovzxbd", {Op::Vx, Op::Wx}, vex<extend<u8, u32>, Quarter>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 32 /r", "vpmovzxbq", {Op::Vx, Op::Wx}, vex<extend<u8, u64>, Eighth>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 33 /r", "vpmovzxwd", {Op::Vx, Op::Wx}, vex<extend<u16, u32>, Half>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 34 /r", "vpmovzxwq", {Op::Vx, Op::Wx}, vex<extend<u16, u64>, Quarter>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 35 /r", "vpmovzxdq", {Op::Vx, Op::Wx}, vex<extend<u32, u64>, Half>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 37 /r", "vpcmpgtq", {Op::Vx, Op::Hx, Op::Wx}, vex<pcmpgtq>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 38 /r", "vpminsb", {Op::Vx, Op::Hx, Op::Wx}, vex<pmin<i8>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 39 /r", "vpminsd", {Op::Vx, Op::Hx, Op::Wx}, vex<pmin<i32>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 3A /r", "vpminuw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmin<u16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 3B /r", "vpminud", {Op::Vx, Op::Hx, Op::Wx}, vex<pmin<u32>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 3C /r", "vpmaxsb", {Op::Vx, Op::Hx, Op::Wx}, vex<pmax<i8>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 3D /r", "vpmaxsd", {Op::Vx, Op::Hx, Op::Wx}, vex<pmax<i32>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 3E /r", "vpmaxuw", {Op::Vx, Op::Hx, Op::Wx}, vex<pmax<u16>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 3F /r", "vpmaxud", {Op::Vx, Op::Hx, Op::Wx}, vex<pmax<u32>>, Feature::Avx, avx2},
    {"VEX.66.0F38.WIG 40 /r", "vpmulld", {Op::Vx, Op::Hx, Op::Wx}, vex<pmulld>, Feature::Avx, avx2},
    {"VEX.128.66.0F38.WIG 41 /r", "vphminposuw", {Op::Vx, Op::Wx}, vex<phminposuw>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.WIG 42 /r", "vmpsadbw", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<per_lane<mpsadbw, 3>>, Feature::Avx, avx2},

    {"VEX.66.0F38.W0 45 /r", "vpsrlvd", {Op::Vx, Op::Hx, Op::Wx}, vex<shift_right<u32>>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 45 /r", "vpsrlvq", {Op::Vx, Op::Hx, Op::Wx}, vex<shift_right<u64>>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 46 /r", "vpsravd", {Op::Vx, Op::Hx, Op::Wx}, vex<vpsravd>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 47 /r", "vpsllvd", {Op::Vx, Op::Hx, Op::Wx}, vex<shift_left<u32>>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W1 47 /r", "vpsllvq", {Op::Vx, Op::Hx, Op::Wx}, vex<shift_left<u64>>, Feature::Avx2, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_integer_rows() { return rows; }

}  // namespace bunshin::sse
