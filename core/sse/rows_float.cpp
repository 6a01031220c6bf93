// Floating-point instructions on XMM registers: SSE to SSE4.1.

#include "core/sse/approximate.h"
#include "core/sse/bind_float.h"
#include "core/sse/float.h"
#include "core/sse/round.h"
#include "core/sse/rows.h"

namespace bunshin::sse {

namespace {

/// The comparison predicate is part of the host's instruction, so each has its own handler. Bits 7:3 are ignored.
template <template <int> class Compare, class Memory>
Handler compare(const Decoded& d) {
  switch (d.record.imm & 7) {
    case 0: return fp<Compare<0>::op, Tiny::Never, Memory>(d);
    case 1: return fp<Compare<1>::op, Tiny::Never, Memory>(d);
    case 2: return fp<Compare<2>::op, Tiny::Never, Memory>(d);
    case 3: return fp<Compare<3>::op, Tiny::Never, Memory>(d);
    case 4: return fp<Compare<4>::op, Tiny::Never, Memory>(d);
    case 5: return fp<Compare<5>::op, Tiny::Never, Memory>(d);
    case 6: return fp<Compare<6>::op, Tiny::Never, Memory>(d);
    default: return fp<Compare<7>::op, Tiny::Never, Memory>(d);
  }
}
template <int predicate>
struct ComparePs {
  static constexpr LaneOp op = cmpps<predicate>;
};
template <int predicate>
struct ComparePd {
  static constexpr LaneOp op = cmppd<predicate>;
};
template <int predicate>
struct CompareSs {
  static constexpr LaneOp op = cmpss<predicate>;
};
template <int predicate>
struct CompareSd {
  static constexpr LaneOp op = cmpsd<predicate>;
};

/// CVTSI2SS, CVTSI2SD.
template <class Int, Vec (*op)(Vec, Int)>
bool convert_from_register(Cpu& cpu, const Record& r) {
  Xmm& d = cpu.state.xmm[r.reg];
  const Vec before = read(d);
  const Int v = cpu.reg<Int>(r.rm);
  Vec result;
  if (!compute_vector<Tiny::Never>(cpu, result, [&] { return op(before, v); })) return false;
  write(d, result);
  return true;
}
template <class Int, Vec (*op)(Vec, Int)>
bool convert_from_memory(Cpu& cpu, const Record& r) {
  Int v{};
  if (!cpu.load(r, v)) return false;
  Xmm& d = cpu.state.xmm[r.reg];
  const Vec before = read(d);
  Vec result;
  if (!compute_vector<Tiny::Never>(cpu, result, [&] { return op(before, v); })) return false;
  write(d, result);
  return true;
}
template <Vec (*narrow)(Vec, i32), Vec (*wide)(Vec, i64)>
Handler from_general(const Decoded& d) {
  if (d.operand_bytes == 8) return by_form<convert_from_register<i64, wide>, convert_from_memory<i64, wide>>(d);
  return by_form<convert_from_register<i32, narrow>, convert_from_memory<i32, narrow>>(d);
}

// clang-format off
constexpr Row rows[] = {
    {"F3 0F 2A /r", "cvtsi2ss", {Op::Vx, Op::Ey}, from_general<cvtsi2ss<i32>, cvtsi2ss<i64>>, Feature::Sse, attr::sse},
    {"F2 0F 2A /r", "cvtsi2sd", {Op::Vx, Op::Ey}, from_general<cvtsi2sd<i32>, cvtsi2sd<i64>>, Feature::Sse2, attr::sse},
    {"F3 0F 2C /r", "cvttss2si", {Op::Gy, Op::Wd},
     to_general<cvttss2si<i32>, cvttss2si<i64>, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 2C /r", "cvttsd2si", {Op::Gy, Op::Wq},
     to_general<cvttsd2si<i32>, cvttsd2si<i64>, Low8>, Feature::Sse2, attr::sse},
    {"F3 0F 2D /r", "cvtss2si", {Op::Gy, Op::Wd},
     to_general<cvtss2si<i32>, cvtss2si<i64>, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 2D /r", "cvtsd2si", {Op::Gy, Op::Wq},
     to_general<cvtsd2si<i32>, cvtsd2si<i64>, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 2E /r", "ucomiss", {Op::Vx, Op::Wd}, comi<ucomiss, Low4>, Feature::Sse, attr::sse},
    {"66 0F 2E /r", "ucomisd", {Op::Vx, Op::Wq}, comi<ucomisd, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 2F /r", "comiss", {Op::Vx, Op::Wd}, comi<comiss, Low4>, Feature::Sse, attr::sse},
    {"66 0F 2F /r", "comisd", {Op::Vx, Op::Wq}, comi<comisd, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 51 /r", "sqrtps", {Op::Vx, Op::Wx}, fp<sqrtps>, Feature::Sse, attr::sse},
    {"66 0F 51 /r", "sqrtpd", {Op::Vx, Op::Wx}, fp<sqrtpd>, Feature::Sse2, attr::sse},
    {"F3 0F 51 /r", "sqrtss", {Op::Vx, Op::Wd}, fp<sqrtss, Tiny::Never, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 51 /r", "sqrtsd", {Op::Vx, Op::Wq}, fp<sqrtsd, Tiny::Never, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 52 /r", "rsqrtps", {Op::Vx, Op::Wx}, xmm<rsqrtps>, Feature::Sse, attr::sse},
    {"F3 0F 52 /r", "rsqrtss", {Op::Vx, Op::Wd}, xmm<rsqrtss, Low4>, Feature::Sse, attr::sse},
    {"NP 0F 53 /r", "rcpps", {Op::Vx, Op::Wx}, xmm<rcpps>, Feature::Sse, attr::sse},
    {"F3 0F 53 /r", "rcpss", {Op::Vx, Op::Wd}, xmm<rcpss, Low4>, Feature::Sse, attr::sse},
    {"NP 0F 54 /r", "andps", {Op::Vx, Op::Wx}, xmm<pand>, Feature::Sse, attr::sse},
    {"66 0F 54 /r", "andpd", {Op::Vx, Op::Wx}, xmm<pand>, Feature::Sse2, attr::sse},
    {"NP 0F 55 /r", "andnps", {Op::Vx, Op::Wx}, xmm<pandn>, Feature::Sse, attr::sse},
    {"66 0F 55 /r", "andnpd", {Op::Vx, Op::Wx}, xmm<pandn>, Feature::Sse2, attr::sse},
    {"NP 0F 56 /r", "orps", {Op::Vx, Op::Wx}, xmm<por>, Feature::Sse, attr::sse},
    {"66 0F 56 /r", "orpd", {Op::Vx, Op::Wx}, xmm<por>, Feature::Sse2, attr::sse},
    {"NP 0F 57 /r", "xorps", {Op::Vx, Op::Wx}, xmm<pxor>, Feature::Sse, attr::sse},
    {"66 0F 57 /r", "xorpd", {Op::Vx, Op::Wx}, xmm<pxor>, Feature::Sse2, attr::sse},
    {"NP 0F 58 /r", "addps", {Op::Vx, Op::Wx}, fp<addps, Tiny::Ps>, Feature::Sse, attr::sse},
    {"66 0F 58 /r", "addpd", {Op::Vx, Op::Wx}, fp<addpd, Tiny::Pd>, Feature::Sse2, attr::sse},
    {"F3 0F 58 /r", "addss", {Op::Vx, Op::Wd}, fp<addss, Tiny::Ss, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 58 /r", "addsd", {Op::Vx, Op::Wq}, fp<addsd, Tiny::Sd, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 59 /r", "mulps", {Op::Vx, Op::Wx}, fp<mulps, Tiny::Ps>, Feature::Sse, attr::sse},
    {"66 0F 59 /r", "mulpd", {Op::Vx, Op::Wx}, fp<mulpd, Tiny::Pd>, Feature::Sse2, attr::sse},
    {"F3 0F 59 /r", "mulss", {Op::Vx, Op::Wd}, fp<mulss, Tiny::Ss, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 59 /r", "mulsd", {Op::Vx, Op::Wq}, fp<mulsd, Tiny::Sd, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 5A /r", "cvtps2pd", {Op::Vx, Op::Wq}, fp<cvtps2pd, Tiny::Never, Low8>, Feature::Sse2, attr::sse},
    {"66 0F 5A /r", "cvtpd2ps", {Op::Vx, Op::Wx}, fp<cvtpd2ps, Tiny::LowPs>, Feature::Sse2, attr::sse},
    {"F3 0F 5A /r", "cvtss2sd", {Op::Vx, Op::Wd}, fp<cvtss2sd, Tiny::Never, Low4>, Feature::Sse2, attr::sse},
    {"F2 0F 5A /r", "cvtsd2ss", {Op::Vx, Op::Wq}, fp<cvtsd2ss, Tiny::Ss, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 5B /r", "cvtdq2ps", {Op::Vx, Op::Wx}, fp<cvtdq2ps>, Feature::Sse2, attr::sse},
    {"66 0F 5B /r", "cvtps2dq", {Op::Vx, Op::Wx}, fp<cvtps2dq>, Feature::Sse2, attr::sse},
    {"F3 0F 5B /r", "cvttps2dq", {Op::Vx, Op::Wx}, fp<cvttps2dq>, Feature::Sse2, attr::sse},
    {"NP 0F 5C /r", "subps", {Op::Vx, Op::Wx}, fp<subps, Tiny::Ps>, Feature::Sse, attr::sse},
    {"66 0F 5C /r", "subpd", {Op::Vx, Op::Wx}, fp<subpd, Tiny::Pd>, Feature::Sse2, attr::sse},
    {"F3 0F 5C /r", "subss", {Op::Vx, Op::Wd}, fp<subss, Tiny::Ss, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 5C /r", "subsd", {Op::Vx, Op::Wq}, fp<subsd, Tiny::Sd, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 5D /r", "minps", {Op::Vx, Op::Wx}, fp<minps>, Feature::Sse, attr::sse},
    {"66 0F 5D /r", "minpd", {Op::Vx, Op::Wx}, fp<minpd>, Feature::Sse2, attr::sse},
    {"F3 0F 5D /r", "minss", {Op::Vx, Op::Wd}, fp<minss, Tiny::Never, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 5D /r", "minsd", {Op::Vx, Op::Wq}, fp<minsd, Tiny::Never, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 5E /r", "divps", {Op::Vx, Op::Wx}, fp<divps, Tiny::Ps>, Feature::Sse, attr::sse},
    {"66 0F 5E /r", "divpd", {Op::Vx, Op::Wx}, fp<divpd, Tiny::Pd>, Feature::Sse2, attr::sse},
    {"F3 0F 5E /r", "divss", {Op::Vx, Op::Wd}, fp<divss, Tiny::Ss, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 5E /r", "divsd", {Op::Vx, Op::Wq}, fp<divsd, Tiny::Sd, Low8>, Feature::Sse2, attr::sse},
    {"NP 0F 5F /r", "maxps", {Op::Vx, Op::Wx}, fp<maxps>, Feature::Sse, attr::sse},
    {"66 0F 5F /r", "maxpd", {Op::Vx, Op::Wx}, fp<maxpd>, Feature::Sse2, attr::sse},
    {"F3 0F 5F /r", "maxss", {Op::Vx, Op::Wd}, fp<maxss, Tiny::Never, Low4>, Feature::Sse, attr::sse},
    {"F2 0F 5F /r", "maxsd", {Op::Vx, Op::Wq}, fp<maxsd, Tiny::Never, Low8>, Feature::Sse2, attr::sse},
    {"66 0F 7C /r", "haddpd", {Op::Vx, Op::Wx}, fp<haddpd, Tiny::Pd>, Feature::Sse3, attr::sse},
    {"F2 0F 7C /r", "haddps", {Op::Vx, Op::Wx}, fp<haddps, Tiny::Ps>, Feature::Sse3, attr::sse},
    {"66 0F 7D /r", "hsubpd", {Op::Vx, Op::Wx}, fp<hsubpd, Tiny::Pd>, Feature::Sse3, attr::sse},
    {"F2 0F 7D /r", "hsubps", {Op::Vx, Op::Wx}, fp<hsubps, Tiny::Ps>, Feature::Sse3, attr::sse},
    {"NP 0F C2 /r", "cmpps", {Op::Vx, Op::Wx, Op::Ib}, compare<ComparePs, Aligned16>, Feature::Sse, attr::sse},
    {"66 0F C2 /r", "cmppd", {Op::Vx, Op::Wx, Op::Ib}, compare<ComparePd, Aligned16>, Feature::Sse2, attr::sse},
    {"F3 0F C2 /r", "cmpss", {Op::Vx, Op::Wd, Op::Ib}, compare<CompareSs, Low4>, Feature::Sse, attr::sse},
    {"F2 0F C2 /r", "cmpsd", {Op::Vx, Op::Wq, Op::Ib}, compare<CompareSd, Low8>, Feature::Sse2, attr::sse},
    {"66 0F D0 /r", "addsubpd", {Op::Vx, Op::Wx}, fp<addsubpd, Tiny::Pd>, Feature::Sse3, attr::sse},
    {"F2 0F D0 /r", "addsubps", {Op::Vx, Op::Wx}, fp<addsubps, Tiny::Ps>, Feature::Sse3, attr::sse},
    {"66 0F E6 /r", "cvttpd2dq", {Op::Vx, Op::Wx}, fp<cvttpd2dq>, Feature::Sse2, attr::sse},
    {"F3 0F E6 /r", "cvtdq2pd", {Op::Vx, Op::Wq}, fp<cvtdq2pd, Tiny::Never, Low8>, Feature::Sse2, attr::sse},
    {"F2 0F E6 /r", "cvtpd2dq", {Op::Vx, Op::Wx}, fp<cvtpd2dq>, Feature::Sse2, attr::sse},
    {"66 0F 3A 08 /r", "roundps", {Op::Vx, Op::Wx, Op::Ib}, fp_imm<roundps>, Feature::Sse41, attr::sse},
    {"66 0F 3A 09 /r", "roundpd", {Op::Vx, Op::Wx, Op::Ib}, fp_imm<roundpd>, Feature::Sse41, attr::sse},
    {"66 0F 3A 0A /r", "roundss", {Op::Vx, Op::Wd, Op::Ib},
     fp_imm<roundss, Tiny::Never, Low4>, Feature::Sse41, attr::sse},
    {"66 0F 3A 0B /r", "roundsd", {Op::Vx, Op::Wq, Op::Ib},
     fp_imm<roundsd, Tiny::Never, Low8>, Feature::Sse41, attr::sse},
    {"66 0F 3A 40 /r", "dpps", {Op::Vx, Op::Wx, Op::Ib}, fp_imm<dpps, Tiny::Ps>, Feature::Sse41, attr::sse},
    {"66 0F 3A 41 /r", "dppd", {Op::Vx, Op::Wx, Op::Ib}, fp_imm<dppd, Tiny::Pd>, Feature::Sse41, attr::sse},
};
// clang-format on

}  // namespace

std::span<const Row> float_rows() { return rows; }

}  // namespace bunshin::sse
