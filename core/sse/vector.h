#pragma once

// 128-bit values as the instructions of core/sse compute with them.
//
// Every instruction is a pure "lane function" Vec f(Vec d, Vec s): d is the first source (and destination) operand, s
// the second. A 256-bit AVX form applies the same function to each 128-bit lane (SDM vol. 1, 14.2), a 64-bit MMX form
// applies it to the low half. No function here contains a C++ floating-point expression: the compiler would be free
// to exchange operands (and with them NaN payloads) or to move it across a change of MXCSR.

#include <emmintrin.h>

#include <array>
#include <cstring>

#include "core/state.h"

namespace bunshin::sse {

using Vec = __m128i;
using LaneOp = Vec (*)(Vec d, Vec s);
using ImmOp = Vec (*)(Vec d, Vec s, u8 imm);

template <class T>
inline constexpr unsigned lane_count = 16 / sizeof(T);
template <class T>
using Lanes = std::array<T, lane_count<T>>;

inline Vec read(const Xmm& x) { return _mm_load_si128(reinterpret_cast<const __m128i*>(x.bytes.data())); }
inline void write(Xmm& x, Vec v) { _mm_store_si128(reinterpret_cast<__m128i*>(x.bytes.data()), v); }

template <class T>
Lanes<T> lanes(Vec v) {
  Lanes<T> a;
  std::memcpy(a.data(), &v, sizeof(v));
  return a;
}
template <class T>
Vec vector(const Lanes<T>& a) {
  Vec v;
  std::memcpy(&v, a.data(), sizeof(v));
  return v;
}
inline u64 low64(Vec v) { return lanes<u64>(v)[0]; }
inline u64 high64(Vec v) { return lanes<u64>(v)[1]; }
inline u32 low32(Vec v) { return static_cast<u32>(_mm_cvtsi128_si32(v)); }
inline Vec from64(u64 v) { return _mm_cvtsi64_si128(static_cast<i64>(v)); }
inline Vec from32(u32 v) { return _mm_cvtsi32_si128(static_cast<i32>(v)); }
inline Vec from_halves(u64 low, u64 high) { return _mm_set_epi64x(static_cast<i64>(high), static_cast<i64>(low)); }

template <class T, class F>
Vec map(Vec s, F f) {
  Lanes<T> a = lanes<T>(s);
  for (T& x : a) x = static_cast<T>(f(x));
  return vector<T>(a);
}
template <class T, class F>
Vec map(Vec d, Vec s, F f) {
  Lanes<T> a = lanes<T>(d);
  const Lanes<T> b = lanes<T>(s);
  for (unsigned i = 0; i < lane_count<T>; ++i) a[i] = static_cast<T>(f(a[i], b[i]));
  return vector<T>(a);
}
/// The two lanes of a YMM register, as they lie in memory.
struct Vec256 {
  Vec low, high;
};

/// Bits of `a` where `mask` is set, of `b` elsewhere.
inline Vec select(Vec mask, Vec a, Vec b) { return _mm_or_si128(_mm_and_si128(mask, a), _mm_andnot_si128(mask, b)); }

}  // namespace bunshin::sse
