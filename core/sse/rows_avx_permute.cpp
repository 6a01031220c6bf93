// VEX-encoded instructions that look at no element's meaning: shuffles, blends, permutations, broadcasts, bitwise logic.

#include "core/sse/bind_vex.h"
#include "core/sse/integer_extended.h"
#include "core/sse/per_lane.h"
#include "core/sse/rows.h"
#include "core/sse/shuffle.h"

namespace bunshin::sse {

namespace {

constexpr u32 avx2 = attr::avx | attr::avx2_256;

template <class T>
Vec broadcast(Vec, Vec s) {
  Lanes<T> r;
  r.fill(lanes<T>(s)[0]);
  return vector<T>(r);
}

Vec vpermilps(Vec d, Vec s) {
  const Lanes<u32> a = lanes<u32>(d), control = lanes<u32>(s);
  return vector<u32>({a[control[0] & 3], a[control[1] & 3], a[control[2] & 3], a[control[3] & 3]});
}
/// The selector is bit 1 of each control element (SDM vol. 2, VPERMILPD).
Vec vpermilpd(Vec d, Vec s) {
  const Lanes<u64> a = lanes<u64>(d), control = lanes<u64>(s);
  return vector<u64>({a[(control[0] >> 1) & 1], a[(control[1] >> 1) & 1]});
}
Vec vpermilpd_imm(Vec, Vec s, u8 imm) { return shufpd(s, s, imm); }

/// The elements of both lanes in one row.
template <class T>
using WideLanes = std::array<T, 2 * lane_count<T>>;
template <class T>
WideLanes<T> wide_lanes(const Vec256& v) {
  WideLanes<T> a;
  std::memcpy(a.data(), &v, sizeof(v));
  return a;
}
template <class T>
Vec256 wide_vector(const WideLanes<T>& a) {
  Vec256 v;
  std::memcpy(&v, a.data(), sizeof(v));
  return v;
}

/// VPERMD, VPERMPS: VEX.vvvv has the indices.
Vec256 permute_dwords(Vec256 indices, Vec256 s) {
  const auto a = wide_lanes<u32>(s);
  auto r = wide_lanes<u32>(indices);
  for (u32& x : r) x = a[x & 7];
  return wide_vector<u32>(r);
}
Vec256 permute_qwords(Vec256, Vec256 s, u8 imm) {
  const auto a = wide_lanes<u64>(s);
  return wide_vector<u64>({a[imm & 3], a[(imm >> 2) & 3], a[(imm >> 4) & 3], a[imm >> 6]});
}
/// Each half of the result is a lane of either source, or zero.
Vec256 permute_lanes(Vec256 d, Vec256 s, u8 imm) {
  const auto chosen = [&](unsigned control) {
    if ((control & 8) != 0) return _mm_setzero_si128();
    const Vec256& from = (control & 2) != 0 ? s : d;
    return (control & 1) != 0 ? from.high : from.low;
  };
  return {chosen(imm), chosen(imm >> 4)};
}

Vec256 insert_lane(Vec256 d, Vec s, u8 imm) { return (imm & 1) != 0 ? Vec256{d.low, s} : Vec256{s, d.high}; }

/// VEXTRACTF128, VEXTRACTI128.
struct ExtractLane {
  static const Xmm& lane(const Cpu& cpu, const Record& r) {
    return (r.imm & 1) != 0 ? cpu.state.ymm_high[r.reg] : cpu.state.xmm[r.reg];
  }
  static bool to_register(Cpu& cpu, const Record& r) {
    write_vector(cpu, r.rm, read(lane(cpu, r)));
    return true;
  }
  static bool to_memory(Cpu& cpu, const Record& r) { return cpu.store(r, lane(cpu, r)); }
};

/// VTESTPS, VTESTPD: PTEST of the sign bits.
template <class T>
u64 test_signs(Vec d, Vec s) {
  Lanes<T> signs;
  signs.fill(T{1} << (8 * sizeof(T) - 1));
  const Vec mask = vector<T>(signs);
  return ptest(pand(d, mask), pand(s, mask));
}
/// Flags that say all is zero hold of a YMM register if they hold of both lanes.
template <auto test, class Length, class Source>
bool run_test(Cpu& cpu, const Record& r) {
  typename Source::Value s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  const auto d = Length::read(cpu, r.reg);
  u64 flags = test(low_lane(d), low_lane(s));
  if constexpr (std::is_same_v<Length, Length256>) flags &= test(d.high, s.high);
  cpu.state.flags.set_status(flags);
  return true;
}
template <auto test>
Handler vex_test(const Decoded& d) {
  return by_length_and_source<Full, false>(
      d, []<class Length, class Source>() -> Handler { return run_plain<run_test<test, Length, Source>>; });
}

// clang-format off
constexpr Row rows[] = {
    {"VEX.NP.0F.WIG 14 /r", "vunpcklps", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckldq>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 15 /r", "vunpckhps", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckhdq>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 14 /r", "vunpcklpd", {Op::Vx, Op::Hx, Op::Wx}, vex<punpcklqdq>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 15 /r", "vunpckhpd", {Op::Vx, Op::Hx, Op::Wx}, vex<punpckhqdq>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 54 /r", "vandps", {Op::Vx, Op::Hx, Op::Wx}, vex<pand>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 54 /r", "vandpd", {Op::Vx, Op::Hx, Op::Wx}, vex<pand>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 55 /r", "vandnps", {Op::Vx, Op::Hx, Op::Wx}, vex<pandn>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 55 /r", "vandnpd", {Op::Vx, Op::Hx, Op::Wx}, vex<pandn>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 56 /r", "vorps", {Op::Vx, Op::Hx, Op::Wx}, vex<por>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 56 /r", "vorpd", {Op::Vx, Op::Hx, Op::Wx}, vex<por>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 57 /r", "vxorps", {Op::Vx, Op::Hx, Op::Wx}, vex<pxor>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 57 /r", "vxorpd", {Op::Vx, Op::Hx, Op::Wx}, vex<pxor>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.WIG 17 /r", "vptest", {Op::Vx, Op::Wx}, vex_test<ptest>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 0E /r", "vtestps", {Op::Vx, Op::Wx}, vex_test<test_signs<u32>>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 0F /r", "vtestpd", {Op::Vx, Op::Wx}, vex_test<test_signs<u64>>, Feature::Avx, attr::avx},

    {"VEX.NP.0F.WIG C6 /r", "vshufps", {Op::Vx, Op::Hx, Op::Wx, Op::Ib}, vex_imm<shufps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG C6 /r", "vshufpd", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<per_lane<shufpd, 2>>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 70 /r", "vpshufd", {Op::Vx, Op::Wx, Op::Ib}, vex_imm<pshufd>, Feature::Avx, avx2},
    {"VEX.F3.0F.WIG 70 /r", "vpshufhw", {Op::Vx, Op::Wx, Op::Ib}, vex_imm<pshufhw>, Feature::Avx, avx2},
    {"VEX.F2.0F.WIG 70 /r", "vpshuflw", {Op::Vx, Op::Wx, Op::Ib}, vex_imm<pshuflw>, Feature::Avx, avx2},

    {"VEX.66.0F3A.WIG 0C /r", "vblendps", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<per_lane<blend<u32>, 4>>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.WIG 0D /r", "vblendpd", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<per_lane<blend<u64>, 2>>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.WIG 0E /r", "vpblendw", {Op::Vx, Op::Hx, Op::Wx, Op::Ib}, vex_imm<blend<u16>>, Feature::Avx, avx2},
    {"VEX.66.0F3A.W0 02 /r", "vpblendd", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<per_lane<blend<u32>, 4>>, Feature::Avx2, attr::avx},
    {"VEX.66.0F3A.W0 4A /r", "vblendvps", {Op::Vx, Op::Hx, Op::Wx, Op::Lx},
     vex_mask<blendvps>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.W0 4B /r", "vblendvpd", {Op::Vx, Op::Hx, Op::Wx, Op::Lx},
     vex_mask<blendvpd>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.W0 4C /r", "vpblendvb", {Op::Vx, Op::Hx, Op::Wx, Op::Lx}, vex_mask<pblendvb>, Feature::Avx, avx2},

    {"VEX.66.0F38.W0 0C /r", "vpermilps", {Op::Vx, Op::Hx, Op::Wx}, vex<vpermilps>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 0D /r", "vpermilpd", {Op::Vx, Op::Hx, Op::Wx}, vex<vpermilpd>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.W0 04 /r", "vpermilps", {Op::Vx, Op::Wx, Op::Ib}, vex_imm<pshufd>, Feature::Avx, attr::avx},
    {"VEX.66.0F3A.W0 05 /r", "vpermilpd", {Op::Vx, Op::Wx, Op::Ib},
     vex_imm<per_lane<vpermilpd_imm, 2>>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F38.W0 16 /r", "vpermps", {Op::Vx, Op::Hx, Op::Wx}, vex<permute_dwords>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F38.W0 36 /r", "vpermd", {Op::Vx, Op::Hx, Op::Wx}, vex<permute_dwords>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F3A.W1 00 /r", "vpermq", {Op::Vx, Op::Wx, Op::Ib}, vex_imm<permute_qwords>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F3A.W1 01 /r", "vpermpd", {Op::Vx, Op::Wx, Op::Ib},
     vex_imm<permute_qwords>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F3A.W0 06 /r", "vperm2f128", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<permute_lanes>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F3A.W0 46 /r", "vperm2i128", {Op::Vx, Op::Hx, Op::Wx, Op::Ib},
     vex_imm<permute_lanes>, Feature::Avx2, attr::avx},

    {"VEX.256.66.0F3A.W0 18 /r", "vinsertf128", {Op::Vx, Op::Hx, Op::Wdq, Op::Ib},
     vex_imm<insert_lane, Any16>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F3A.W0 19 /r", "vextractf128", {Op::Wdq, Op::Vx, Op::Ib},
     by_form<ExtractLane::to_register, ExtractLane::to_memory>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F3A.W0 38 /r", "vinserti128", {Op::Vx, Op::Hx, Op::Wdq, Op::Ib},
     vex_imm<insert_lane, Any16>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F3A.W0 39 /r", "vextracti128", {Op::Wdq, Op::Vx, Op::Ib},
     by_form<ExtractLane::to_register, ExtractLane::to_memory>, Feature::Avx2, attr::avx},

    {"VEX.66.0F38.W0 18 /r mem", "vbroadcastss", {Op::Vx, Op::Md}, vex<broadcast<u32>, Low4>, Feature::Avx, attr::avx},
    {"VEX.66.0F38.W0 18 /r reg", "vbroadcastss", {Op::Vx, Op::Ux}, vex<broadcast<u32>, Low4>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F38.W0 19 /r mem", "vbroadcastsd", {Op::Vx, Op::Mq},
     vex<broadcast<u64>, Low8>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F38.W0 19 /r reg", "vbroadcastsd", {Op::Vx, Op::Ux},
     vex<broadcast<u64>, Low8>, Feature::Avx2, attr::avx},
    {"VEX.256.66.0F38.W0 1A /r mem", "vbroadcastf128", {Op::Vx, Op::Mdq}, vex<second, Any16>, Feature::Avx, attr::avx},
    {"VEX.256.66.0F38.W0 5A /r mem", "vbroadcasti128", {Op::Vx, Op::Mdq}, vex<second, Any16>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 78 /r", "vpbroadcastb", {Op::Vx, Op::Wx},
     vex<broadcast<u8>, Scalar<u8>>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 79 /r", "vpbroadcastw", {Op::Vx, Op::Ww}, vex<broadcast<u16>, Low2>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 58 /r", "vpbroadcastd", {Op::Vx, Op::Wd}, vex<broadcast<u32>, Low4>, Feature::Avx2, attr::avx},
    {"VEX.66.0F38.W0 59 /r", "vpbroadcastq", {Op::Vx, Op::Wq}, vex<broadcast<u64>, Low8>, Feature::Avx2, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_permute_rows() { return rows; }

}  // namespace bunshin::sse
