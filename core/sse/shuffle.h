#pragma once

// Moves between lanes: shuffles, unpacks, blends, inserts. None of them looks at what the elements mean.

#include "core/sse/integer.h"

namespace bunshin::sse {

inline Vec pshufd(Vec, Vec s, u8 imm) {
  const Lanes<u32> a = lanes<u32>(s);
  return vector<u32>({a[imm & 3], a[(imm >> 2) & 3], a[(imm >> 4) & 3], a[imm >> 6]});
}
/// Words of one 64-bit half (PSHUFW, PSHUFLW, PSHUFHW).
inline u64 shuffle_words(u64 v, u8 imm) {
  u64 r = 0;
  for (unsigned i = 0; i < 4; ++i) r |= ((v >> (16 * ((imm >> (2 * i)) & 3))) & 0xffff) << (16 * i);
  return r;
}
inline Vec pshufw(Vec, Vec s, u8 imm) { return from64(shuffle_words(low64(s), imm)); }
inline Vec pshuflw(Vec, Vec s, u8 imm) { return from_halves(shuffle_words(low64(s), imm), high64(s)); }
inline Vec pshufhw(Vec, Vec s, u8 imm) { return from_halves(low64(s), shuffle_words(high64(s), imm)); }
inline Vec shufps(Vec d, Vec s, u8 imm) {
  const Lanes<u32> a = lanes<u32>(d), b = lanes<u32>(s);
  return vector<u32>({a[imm & 3], a[(imm >> 2) & 3], b[(imm >> 4) & 3], b[imm >> 6]});
}
inline Vec shufpd(Vec d, Vec s, u8 imm) {
  return from_halves((imm & 1) != 0 ? high64(d) : low64(d), (imm & 2) != 0 ? high64(s) : low64(s));
}

/// The low element of s in d (MOVSS, MOVSD and MOVLPS between registers and from memory).
inline Vec merge_low32(Vec d, Vec s) { return _mm_castps_si128(_mm_move_ss(_mm_castsi128_ps(d), _mm_castsi128_ps(s))); }
inline Vec merge_low64(Vec d, Vec s) { return _mm_castpd_si128(_mm_move_sd(_mm_castsi128_pd(d), _mm_castsi128_pd(s))); }
/// MOVQ: low half of s, zero above.
inline Vec movq(Vec, Vec s) { return _mm_move_epi64(s); }
inline Vec movhlps(Vec d, Vec s) { return _mm_unpackhi_epi64(s, d); }
/// Low half of d, low half of s: MOVLHPS, and MOVHPS from memory.
inline Vec movlhps(Vec d, Vec s) { return _mm_unpacklo_epi64(d, s); }
inline Vec movsldup(Vec, Vec s) { return _mm_shuffle_epi32(s, 0xa0); }
inline Vec movshdup(Vec, Vec s) { return _mm_shuffle_epi32(s, 0xf5); }
inline Vec movddup(Vec, Vec s) { return _mm_unpacklo_epi64(s, s); }

/// Blends by immediate: bit i chooses element i of s.
template <class T>
Vec blend(Vec d, Vec s, u8 imm) {
  Lanes<T> a = lanes<T>(d);
  const Lanes<T> b = lanes<T>(s);
  for (unsigned i = 0; i < lane_count<T>; ++i)
    if (((imm >> i) & 1) != 0) a[i] = b[i];
  return vector<T>(a);
}
/// Blends by the sign bits of the elements of `mask`.
inline Vec pblendvb(Vec d, Vec s, Vec mask) { return select(_mm_cmpgt_epi8(_mm_setzero_si128(), mask), s, d); }
inline Vec blendvps(Vec d, Vec s, Vec mask) { return select(_mm_srai_epi32(mask, 31), s, d); }
inline Vec blendvpd(Vec d, Vec s, Vec mask) { return select(_mm_shuffle_epi32(_mm_srai_epi32(mask, 31), 0xf5), s, d); }

template <class T>
Vec insert(Vec d, u64 value, u8 imm) {
  Lanes<T> a = lanes<T>(d);
  a[imm & (lane_count<T> - 1)] = static_cast<T>(value);
  return vector<T>(a);
}
template <class T>
T extract(Vec v, u8 imm) {
  return lanes<T>(v)[imm & (lane_count<T> - 1)];
}
/// PINSRW and PEXTRW on MMX registers have four words.
inline u8 mmx_word(u8 imm) { return imm & 3; }

/// INSERTPS; from memory, COUNT_S is ignored (SDM vol. 2, INSERTPS): the value is in element 0.
inline Vec insertps_value(Vec d, u32 value, u8 imm) {
  Lanes<u32> a = lanes<u32>(d);
  a[(imm >> 4) & 3] = value;
  for (unsigned i = 0; i < 4; ++i)
    if (((imm >> i) & 1) != 0) a[i] = 0;
  return vector<u32>(a);
}
inline Vec insertps_register(Vec d, Vec s, u8 imm) { return insertps_value(d, lanes<u32>(s)[imm >> 6], imm); }
inline Vec insertps_memory(Vec d, Vec s, u8 imm) { return insertps_value(d, low32(s), imm); }

}  // namespace bunshin::sse
