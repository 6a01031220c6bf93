#pragma once

// Floating-point instructions. While a core runs, the host's MXCSR is the guest's with all exceptions masked
// (host_mxcsr.h), so the host's own instruction rounds, flushes and sets sticky flags exactly as the guest's would.
// Written as volatile assembly because intrinsics may be reordered against MXCSR, folded, or have their operands
// exchanged, which changes NaN payloads (SDM vol. 1, table 4-7).

#include "core/sse/shuffle.h"

namespace bunshin::sse {

/// Assembly text cannot be a template argument.
#define BUNSHIN_HOST_INSTRUCTION(name)                \
  inline Vec name(Vec d, Vec s) {                     \
    asm volatile(#name " %1, %0" : "+x"(d) : "x"(s)); \
    return d;                                         \
  }
#define BUNSHIN_HOST_INSTRUCTIONS(name) \
  BUNSHIN_HOST_INSTRUCTION(name##ps)    \
  BUNSHIN_HOST_INSTRUCTION(name##pd)    \
  BUNSHIN_HOST_INSTRUCTION(name##ss)    \
  BUNSHIN_HOST_INSTRUCTION(name##sd)

BUNSHIN_HOST_INSTRUCTIONS(add)
BUNSHIN_HOST_INSTRUCTIONS(sub)
BUNSHIN_HOST_INSTRUCTIONS(mul)
BUNSHIN_HOST_INSTRUCTIONS(div)
BUNSHIN_HOST_INSTRUCTIONS(min)
BUNSHIN_HOST_INSTRUCTIONS(max)
BUNSHIN_HOST_INSTRUCTIONS(sqrt)
BUNSHIN_HOST_INSTRUCTION(cvtps2pd)
BUNSHIN_HOST_INSTRUCTION(cvtpd2ps)
BUNSHIN_HOST_INSTRUCTION(cvtss2sd)
BUNSHIN_HOST_INSTRUCTION(cvtsd2ss)
BUNSHIN_HOST_INSTRUCTION(cvtdq2ps)
BUNSHIN_HOST_INSTRUCTION(cvtps2dq)
BUNSHIN_HOST_INSTRUCTION(cvttps2dq)
BUNSHIN_HOST_INSTRUCTION(cvtdq2pd)
BUNSHIN_HOST_INSTRUCTION(cvtpd2dq)
BUNSHIN_HOST_INSTRUCTION(cvttpd2dq)

#undef BUNSHIN_HOST_INSTRUCTIONS
#undef BUNSHIN_HOST_INSTRUCTION

/// Comparison predicates are immediates of the host's instruction too.
template <int predicate>
Vec cmpps(Vec d, Vec s) {
  asm volatile("cmpps %2, %1, %0" : "+x"(d) : "x"(s), "i"(predicate));
  return d;
}
template <int predicate>
Vec cmppd(Vec d, Vec s) {
  asm volatile("cmppd %2, %1, %0" : "+x"(d) : "x"(s), "i"(predicate));
  return d;
}
template <int predicate>
Vec cmpss(Vec d, Vec s) {
  asm volatile("cmpss %2, %1, %0" : "+x"(d) : "x"(s), "i"(predicate));
  return d;
}
template <int predicate>
Vec cmpsd(Vec d, Vec s) {
  asm volatile("cmpsd %2, %1, %0" : "+x"(d) : "x"(s), "i"(predicate));
  return d;
}

/// ZF, PF, CF of an ordered or unordered comparison, in RFLAGS layout.
using CompareOp = u64 (*)(Vec d, Vec s);
constexpr u64 compare_flags(bool z, bool p, bool c) {
  return (z ? rflags::ZF : 0) | (p ? rflags::PF : 0) | (c ? rflags::CF : 0);
}
inline u64 comiss(Vec d, Vec s) {
  bool z = false, p = false, c = false;
  asm volatile("comiss %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(d), "x"(s));
  return compare_flags(z, p, c);
}
inline u64 comisd(Vec d, Vec s) {
  bool z = false, p = false, c = false;
  asm volatile("comisd %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(d), "x"(s));
  return compare_flags(z, p, c);
}
inline u64 ucomiss(Vec d, Vec s) {
  bool z = false, p = false, c = false;
  asm volatile("ucomiss %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(d), "x"(s));
  return compare_flags(z, p, c);
}
inline u64 ucomisd(Vec d, Vec s) {
  bool z = false, p = false, c = false;
  asm volatile("ucomisd %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(d), "x"(s));
  return compare_flags(z, p, c);
}

/// Between general registers and the low element.
template <class Int>
Vec cvtsi2ss(Vec d, Int v) {
  asm volatile("cvtsi2ss %1, %0" : "+x"(d) : "r"(v));
  return d;
}
template <class Int>
Vec cvtsi2sd(Vec d, Int v) {
  asm volatile("cvtsi2sd %1, %0" : "+x"(d) : "r"(v));
  return d;
}
template <class Int>
Int cvtss2si(Vec s) {
  Int v;
  asm volatile("cvtss2si %1, %0" : "=r"(v) : "x"(s));
  return v;
}
template <class Int>
Int cvttss2si(Vec s) {
  Int v;
  asm volatile("cvttss2si %1, %0" : "=r"(v) : "x"(s));
  return v;
}
template <class Int>
Int cvtsd2si(Vec s) {
  Int v;
  asm volatile("cvtsd2si %1, %0" : "=r"(v) : "x"(s));
  return v;
}
template <class Int>
Int cvttsd2si(Vec s) {
  Int v;
  asm volatile("cvttsd2si %1, %0" : "=r"(v) : "x"(s));
  return v;
}

/// Between MMX registers (low half of a vector) and XMM. The unused upper elements are zero and convert without flags.
inline Vec cvtpi2ps(Vec d, Vec s) { return merge_low64(d, cvtdq2ps(s, _mm_move_epi64(s))); }
inline Vec cvtpi2pd(Vec d, Vec s) { return cvtdq2pd(d, s); }
inline Vec cvtps2pi(Vec d, Vec s) { return cvtps2dq(d, _mm_move_epi64(s)); }
inline Vec cvttps2pi(Vec d, Vec s) { return cvttps2dq(d, _mm_move_epi64(s)); }
inline Vec cvtpd2pi(Vec d, Vec s) { return cvtpd2dq(d, s); }
inline Vec cvttpd2pi(Vec d, Vec s) { return cvttpd2dq(d, s); }

/// --- SSE3: from SSE2's, because the host may lack it. Masked-out elements are 0 op 0, which sets no flag. ---
inline Vec addsubps(Vec d, Vec s) {
  const Vec even = _mm_set1_epi64x(0xffffffff);
  return select(even, subps(pand(d, even), pand(s, even)), addps(pandn(even, d), pandn(even, s)));
}
inline Vec addsubpd(Vec d, Vec s) {
  const Vec even = _mm_set_epi64x(0, -1);
  return select(even, subpd(pand(d, even), pand(s, even)), addpd(pandn(even, d), pandn(even, s)));
}
inline Vec even_singles(Vec d, Vec s) { return shufps(d, s, 0x88); }
inline Vec odd_singles(Vec d, Vec s) { return shufps(d, s, 0xdd); }
inline Vec haddps(Vec d, Vec s) { return addps(even_singles(d, s), odd_singles(d, s)); }
inline Vec hsubps(Vec d, Vec s) { return subps(even_singles(d, s), odd_singles(d, s)); }
inline Vec haddpd(Vec d, Vec s) { return addpd(punpcklqdq(d, s), punpckhqdq(d, s)); }
inline Vec hsubpd(Vec d, Vec s) { return subpd(punpcklqdq(d, s), punpckhqdq(d, s)); }

/// --- SSE4.1 dot products: products of the elements imm[7:4] selects, added pairwise, to the elements imm[3:0]
/// selects. ---
inline Vec dpps(Vec d, Vec s, u8 imm) {
  const Vec zero = _mm_setzero_si128();
  const u8 chosen = imm >> 4;
  const Vec products = mulps(blend<u32>(zero, d, chosen), blend<u32>(zero, s, chosen));
  const Vec pairs = addps(shufps(products, zero, 0x08), shufps(products, zero, 0x0d));
  const Vec sum = addss(pairs, pshufd(zero, pairs, 0x01));
  return blend<u32>(zero, pshufd(zero, sum, 0), imm & 15);
}
inline Vec dppd(Vec d, Vec s, u8 imm) {
  const Vec zero = _mm_setzero_si128();
  const u8 chosen = (imm >> 4) & 3;
  const Vec products = mulpd(blend<u64>(zero, d, chosen), blend<u64>(zero, s, chosen));
  const Vec sum = addsd(products, punpckhqdq(products, products));
  return blend<u64>(zero, punpcklqdq(sum, sum), imm & 3);
}

}  // namespace bunshin::sse
