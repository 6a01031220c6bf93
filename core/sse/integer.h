#pragma once

// Packed integer arithmetic, comparison, logic and shifts: MMX, SSE, SSE2. The host's SSE2 is the baseline of x86-64,
// so its instructions are the definition. All of these also serve MMX, on the low 64 bits.

#include "core/sse/vector.h"

namespace bunshin::sse {

inline Vec first(Vec d, Vec) { return d; }
inline Vec second(Vec, Vec s) { return s; }

inline Vec paddb(Vec d, Vec s) { return _mm_add_epi8(d, s); }
inline Vec paddw(Vec d, Vec s) { return _mm_add_epi16(d, s); }
inline Vec paddd(Vec d, Vec s) { return _mm_add_epi32(d, s); }
inline Vec paddq(Vec d, Vec s) { return _mm_add_epi64(d, s); }
inline Vec paddsb(Vec d, Vec s) { return _mm_adds_epi8(d, s); }
inline Vec paddsw(Vec d, Vec s) { return _mm_adds_epi16(d, s); }
inline Vec paddusb(Vec d, Vec s) { return _mm_adds_epu8(d, s); }
inline Vec paddusw(Vec d, Vec s) { return _mm_adds_epu16(d, s); }
inline Vec psubb(Vec d, Vec s) { return _mm_sub_epi8(d, s); }
inline Vec psubw(Vec d, Vec s) { return _mm_sub_epi16(d, s); }
inline Vec psubd(Vec d, Vec s) { return _mm_sub_epi32(d, s); }
inline Vec psubq(Vec d, Vec s) { return _mm_sub_epi64(d, s); }
inline Vec psubsb(Vec d, Vec s) { return _mm_subs_epi8(d, s); }
inline Vec psubsw(Vec d, Vec s) { return _mm_subs_epi16(d, s); }
inline Vec psubusb(Vec d, Vec s) { return _mm_subs_epu8(d, s); }
inline Vec psubusw(Vec d, Vec s) { return _mm_subs_epu16(d, s); }

inline Vec pmullw(Vec d, Vec s) { return _mm_mullo_epi16(d, s); }
inline Vec pmulhw(Vec d, Vec s) { return _mm_mulhi_epi16(d, s); }
inline Vec pmulhuw(Vec d, Vec s) { return _mm_mulhi_epu16(d, s); }
inline Vec pmuludq(Vec d, Vec s) { return _mm_mul_epu32(d, s); }
inline Vec pmaddwd(Vec d, Vec s) { return _mm_madd_epi16(d, s); }
inline Vec psadbw(Vec d, Vec s) { return _mm_sad_epu8(d, s); }
inline Vec pavgb(Vec d, Vec s) { return _mm_avg_epu8(d, s); }
inline Vec pavgw(Vec d, Vec s) { return _mm_avg_epu16(d, s); }
inline Vec pminub(Vec d, Vec s) { return _mm_min_epu8(d, s); }
inline Vec pmaxub(Vec d, Vec s) { return _mm_max_epu8(d, s); }
inline Vec pminsw(Vec d, Vec s) { return _mm_min_epi16(d, s); }
inline Vec pmaxsw(Vec d, Vec s) { return _mm_max_epi16(d, s); }

inline Vec pand(Vec d, Vec s) { return _mm_and_si128(d, s); }
inline Vec pandn(Vec d, Vec s) { return _mm_andnot_si128(d, s); }
inline Vec por(Vec d, Vec s) { return _mm_or_si128(d, s); }
inline Vec pxor(Vec d, Vec s) { return _mm_xor_si128(d, s); }

inline Vec pcmpeqb(Vec d, Vec s) { return _mm_cmpeq_epi8(d, s); }
inline Vec pcmpeqw(Vec d, Vec s) { return _mm_cmpeq_epi16(d, s); }
inline Vec pcmpeqd(Vec d, Vec s) { return _mm_cmpeq_epi32(d, s); }
inline Vec pcmpgtb(Vec d, Vec s) { return _mm_cmpgt_epi8(d, s); }
inline Vec pcmpgtw(Vec d, Vec s) { return _mm_cmpgt_epi16(d, s); }
inline Vec pcmpgtd(Vec d, Vec s) { return _mm_cmpgt_epi32(d, s); }

/// Shift counts are the low 64 bits of the source; an immediate is zero-extended to that.
inline Vec psllw(Vec d, Vec s) { return _mm_sll_epi16(d, s); }
inline Vec pslld(Vec d, Vec s) { return _mm_sll_epi32(d, s); }
inline Vec psllq(Vec d, Vec s) { return _mm_sll_epi64(d, s); }
inline Vec psrlw(Vec d, Vec s) { return _mm_srl_epi16(d, s); }
inline Vec psrld(Vec d, Vec s) { return _mm_srl_epi32(d, s); }
inline Vec psrlq(Vec d, Vec s) { return _mm_srl_epi64(d, s); }
inline Vec psraw(Vec d, Vec s) { return _mm_sra_epi16(d, s); }
inline Vec psrad(Vec d, Vec s) { return _mm_sra_epi32(d, s); }
/// Whole-register shifts by bytes.
inline Vec pslldq(Vec d, Vec s) {
  const u64 count = low64(s);
  const u128 v = (u128{high64(d)} << 64) | low64(d);
  const u128 r = count > 15 ? 0 : v << (8 * count);
  return from_halves(static_cast<u64>(r), static_cast<u64>(r >> 64));
}
inline Vec psrldq(Vec d, Vec s) {
  const u64 count = low64(s);
  const u128 v = (u128{high64(d)} << 64) | low64(d);
  const u128 r = count > 15 ? 0 : v >> (8 * count);
  return from_halves(static_cast<u64>(r), static_cast<u64>(r >> 64));
}

inline Vec punpcklbw(Vec d, Vec s) { return _mm_unpacklo_epi8(d, s); }
inline Vec punpcklwd(Vec d, Vec s) { return _mm_unpacklo_epi16(d, s); }
inline Vec punpckldq(Vec d, Vec s) { return _mm_unpacklo_epi32(d, s); }
inline Vec punpcklqdq(Vec d, Vec s) { return _mm_unpacklo_epi64(d, s); }
inline Vec punpckhbw(Vec d, Vec s) { return _mm_unpackhi_epi8(d, s); }
inline Vec punpckhwd(Vec d, Vec s) { return _mm_unpackhi_epi16(d, s); }
inline Vec punpckhdq(Vec d, Vec s) { return _mm_unpackhi_epi32(d, s); }
inline Vec punpckhqdq(Vec d, Vec s) { return _mm_unpackhi_epi64(d, s); }
inline Vec packsswb(Vec d, Vec s) { return _mm_packs_epi16(d, s); }
inline Vec packssdw(Vec d, Vec s) { return _mm_packs_epi32(d, s); }
inline Vec packuswb(Vec d, Vec s) { return _mm_packus_epi16(d, s); }

/// MMX forms of instructions whose result depends on the register's width.
template <LaneOp unpack_low>
Vec mmx_unpack_high(Vec d, Vec s) {
  return _mm_srli_si128(unpack_low(d, s), 8);
}
template <LaneOp pack>
Vec mmx_pack(Vec d, Vec s) {
  const Vec both = _mm_unpacklo_epi64(d, s);
  return pack(both, both);
}

/// Sign bits of the bytes.
inline u32 pmovmskb(Vec v) { return static_cast<u32>(_mm_movemask_epi8(v)); }

}  // namespace bunshin::sse
