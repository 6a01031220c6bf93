// VEX-encoded conversions, half precision (F16C) included.

#include "core/sse/bind_float.h"
#include "core/sse/bind_vex.h"
#include "core/sse/float.h"
#include "core/sse/half_precision.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// Two elements become two of half the size, in the low half of their lane: of a YMM register four in an XMM register.
template <LaneOp op>
struct Narrow {
  Vec operator()(Vec d, Vec s) const { return op(d, s); }
  Vec operator()(const Vec256&, const Vec256& s) const { return movlhps(op(s.low, s.low), op(s.high, s.high)); }
};
/// The elements of the source's low half become elements of twice the size.
template <LaneOp op>
struct Widen {
  Vec operator()(Vec d, Vec s) const { return op(d, s); }
  Vec256 operator()(const Vec256&, Vec s) const { return {op(s, s), op(s, high_half(s))}; }
  static Vec high_half(Vec s) { return _mm_unpackhi_epi64(s, s); }
};
Vec half_to_singles(Vec, Vec s) { return vcvtph2ps(s); }

/// CVTSI2SS, CVTSI2SD: op(vvvv, general register or memory).
template <class Int, Vec (*op)(Vec, Int)>
bool convert_integer(Cpu& cpu, const Record& r, Int v) {
  const Vec upper = read(cpu.state.xmm[r.vvvv()]);
  Vec result;
  if (!compute_vector<Tiny::Never>(cpu, result, [&] { return op(upper, v); })) return false;
  write_vector(cpu, r.reg, result);
  return true;
}
template <class Int, Vec (*op)(Vec, Int)>
bool convert_from_register(Cpu& cpu, const Record& r) {
  return convert_integer<Int, op>(cpu, r, cpu.reg<Int>(r.rm));
}
template <class Int, Vec (*op)(Vec, Int)>
bool convert_from_memory(Cpu& cpu, const Record& r) {
  Int v{};
  return cpu.load(r, v) && convert_integer<Int, op>(cpu, r, v);
}
template <Vec (*narrow)(Vec, i32), Vec (*wide)(Vec, i64)>
Handler from_general(const Decoded& d) {
  if (d.operand_bytes == 8) return by_form<convert_from_register<i64, wide>, convert_from_memory<i64, wide>>(d);
  return by_form<convert_from_register<i32, narrow>, convert_from_memory<i32, narrow>>(d);
}

/// VCVTPS2PH: ModRM.rm is the destination, of half the source's length.
struct ToHalf {
  static bool compute(Cpu& cpu, const Record& r, Vec& out, Length128) {
    const u8 imm = imm8(r);
    const Vec s = Length128::read(cpu, r.reg);
    return compute_vector<Tiny::LowPh>(cpu, out, [&] { return vcvtps2ph(s, imm); });
  }
  static bool compute(Cpu& cpu, const Record& r, Vec& out, Length256) {
    const u8 imm = imm8(r);
    const Vec256 s = Length256::read(cpu, r.reg);
    return compute_vector<Tiny::Ph>(cpu, out, [&] { return movlhps(vcvtps2ph(s.low, imm), vcvtps2ph(s.high, imm)); });
  }
  template <class Length>
  static bool to_register(Cpu& cpu, const Record& r) {
    Vec halves;
    if (!compute(cpu, r, halves, Length{})) return false;
    write_vector(cpu, r.rm, halves);
    return true;
  }
  static bool store(Cpu& cpu, const Record& r, Vec halves, Length128) { return cpu.store(r, low64(halves)); }
  static bool store(Cpu& cpu, const Record& r, Vec halves, Length256) { return cpu.store(r, halves); }
  /// Faults on the address come before those of the conversion, which then has raised no flags either.
  template <class Length>
  static bool to_memory(Cpu& cpu, const Record& r) {
    Vec halves;
    return cpu.probe_write(cpu.segment_of(r), cpu.effective_address(r), sizeof(typename Length::Vector) / 2) &&
           compute(cpu, r, halves, Length{}) && store(cpu, r, halves, Length{});
  }
};
Handler to_half(const Decoded& d) {
  return by_length(d,
                   [&]<class Length>() { return by_form<ToHalf::to_register<Length>, ToHalf::to_memory<Length>>(d); });
}

// clang-format off
constexpr Row rows[] = {
    {"VEX.LIG.F3.0F 2A /r", "vcvtsi2ss", {Op::Vx, Op::Hx, Op::Ey},
     from_general<cvtsi2ss<i32>, cvtsi2ss<i64>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F 2A /r", "vcvtsi2sd", {Op::Vx, Op::Hx, Op::Ey},
     from_general<cvtsi2sd<i32>, cvtsi2sd<i64>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F 2C /r", "vcvttss2si", {Op::Gy, Op::Wd},
     to_general<cvttss2si<i32>, cvttss2si<i64>, Low4>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F 2C /r", "vcvttsd2si", {Op::Gy, Op::Wq},
     to_general<cvttsd2si<i32>, cvttsd2si<i64>, Low8>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F 2D /r", "vcvtss2si", {Op::Gy, Op::Wd},
     to_general<cvtss2si<i32>, cvtss2si<i64>, Low4>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F 2D /r", "vcvtsd2si", {Op::Gy, Op::Wq},
     to_general<cvtsd2si<i32>, cvtsd2si<i64>, Low8>, Feature::Avx, attr::avx},
    {"VEX.128.NP.0F.WIG 5A /r", "vcvtps2pd", {Op::Vx, Op::Wq},
     vex_fp<Widen<cvtps2pd>{}, Tiny::Never, Half>, Feature::Avx, attr::avx},
    {"VEX.256.NP.0F.WIG 5A /r", "vcvtps2pd", {Op::Vx, Op::Wdq},
     vex_fp<Widen<cvtps2pd>{}, Tiny::Never, Half>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 5A /r", "vcvtpd2ps", {Op::Vx, Op::Wx}, vex_fp<Narrow<cvtpd2ps>{}, Tiny::Ps>, Feature::Avx, attr::avx},
    {"VEX.LIG.F3.0F.WIG 5A /r", "vcvtss2sd", {Op::Vx, Op::Hx, Op::Wd},
     vex_scalar<vex_fp<cvtss2sd, Tiny::Never, Low4>>, Feature::Avx, attr::avx},
    {"VEX.LIG.F2.0F.WIG 5A /r", "vcvtsd2ss", {Op::Vx, Op::Hx, Op::Wq},
     vex_scalar<vex_fp<cvtsd2ss, Tiny::Ss, Low8>>, Feature::Avx, attr::avx},
    {"VEX.NP.0F.WIG 5B /r", "vcvtdq2ps", {Op::Vx, Op::Wx}, vex_fp<cvtdq2ps>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG 5B /r", "vcvtps2dq", {Op::Vx, Op::Wx}, vex_fp<cvtps2dq>, Feature::Avx, attr::avx},
    {"VEX.F3.0F.WIG 5B /r", "vcvttps2dq", {Op::Vx, Op::Wx}, vex_fp<cvttps2dq>, Feature::Avx, attr::avx},
    {"VEX.66.0F.WIG E6 /r", "vcvttpd2dq", {Op::Vx, Op::Wx}, vex_fp<Narrow<cvttpd2dq>{}>, Feature::Avx, attr::avx},
    {"VEX.128.F3.0F.WIG E6 /r", "vcvtdq2pd", {Op::Vx, Op::Wq},
     vex_fp<Widen<cvtdq2pd>{}, Tiny::Never, Half>, Feature::Avx, attr::avx},
    {"VEX.256.F3.0F.WIG E6 /r", "vcvtdq2pd", {Op::Vx, Op::Wdq},
     vex_fp<Widen<cvtdq2pd>{}, Tiny::Never, Half>, Feature::Avx, attr::avx},
    {"VEX.F2.0F.WIG E6 /r", "vcvtpd2dq", {Op::Vx, Op::Wx}, vex_fp<Narrow<cvtpd2dq>{}>, Feature::Avx, attr::avx},
    {"VEX.128.66.0F38.W0 13 /r", "vcvtph2ps", {Op::Vx, Op::Wq},
     vex_fp<Widen<half_to_singles>{}, Tiny::Never, Half>, Feature::F16c, attr::avx},
    {"VEX.256.66.0F38.W0 13 /r", "vcvtph2ps", {Op::Vx, Op::Wdq},
     vex_fp<Widen<half_to_singles>{}, Tiny::Never, Half>, Feature::F16c, attr::avx},
    {"VEX.128.66.0F3A.W0 1D /r", "vcvtps2ph", {Op::Wq, Op::Vx, Op::Ib}, to_half, Feature::F16c, attr::avx},
    {"VEX.256.66.0F3A.W0 1D /r", "vcvtps2ph", {Op::Wdq, Op::Vx, Op::Ib}, to_half, Feature::F16c, attr::avx},
};
// clang-format on

}  // namespace

std::span<const Row> avx_convert_rows() { return rows; }

}  // namespace bunshin::sse
