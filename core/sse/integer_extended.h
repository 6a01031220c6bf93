#pragma once

// Packed integer instructions of SSSE3 and SSE4, portably: the host may lack them. Templates over `bytes` (8: MMX,
// 16: XMM) where the register's width matters.

#include <algorithm>
#include <limits>
#include <type_traits>

#include "core/sse/integer.h"

namespace bunshin::sse {

template <class To, class From>
To saturate(From v) {
  return static_cast<To>(std::clamp<From>(v, std::numeric_limits<To>::min(), std::numeric_limits<To>::max()));
}

/// Pairs of adjacent elements, those of d below those of s (PHADD, PHSUB).
template <class T, unsigned bytes, class F>
Vec horizontal(Vec d, Vec s, F f) {
  constexpr unsigned n = bytes / sizeof(T);
  const Lanes<T> a = lanes<T>(d), b = lanes<T>(s);
  Lanes<T> r{};
  for (unsigned i = 0; i < n / 2; ++i) {
    r[i] = static_cast<T>(f(a[2 * i], a[2 * i + 1]));
    r[n / 2 + i] = static_cast<T>(f(b[2 * i], b[2 * i + 1]));
  }
  return vector<T>(r);
}
template <unsigned bytes>
Vec phaddw(Vec d, Vec s) {
  return horizontal<u16, bytes>(d, s, [](u16 x, u16 y) { return x + y; });
}
template <unsigned bytes>
Vec phaddd(Vec d, Vec s) {
  return horizontal<u32, bytes>(d, s, [](u32 x, u32 y) { return x + y; });
}
template <unsigned bytes>
Vec phaddsw(Vec d, Vec s) {
  return horizontal<i16, bytes>(d, s, [](i32 x, i32 y) { return saturate<i16>(x + y); });
}
template <unsigned bytes>
Vec phsubw(Vec d, Vec s) {
  return horizontal<u16, bytes>(d, s, [](u16 x, u16 y) { return x - y; });
}
template <unsigned bytes>
Vec phsubd(Vec d, Vec s) {
  return horizontal<u32, bytes>(d, s, [](u32 x, u32 y) { return x - y; });
}
template <unsigned bytes>
Vec phsubsw(Vec d, Vec s) {
  return horizontal<i16, bytes>(d, s, [](i32 x, i32 y) { return saturate<i16>(x - y); });
}

template <unsigned bytes>
Vec pshufb(Vec d, Vec s) {
  const Lanes<u8> a = lanes<u8>(d), b = lanes<u8>(s);
  Lanes<u8> r;
  for (unsigned i = 0; i < 16; ++i) r[i] = (b[i] & 0x80) != 0 ? u8{0} : a[b[i] & (bytes - 1)];
  return vector<u8>(r);
}
template <unsigned bytes>
Vec palignr(Vec d, Vec s, u8 imm) {
  const Lanes<u8> a = lanes<u8>(d), b = lanes<u8>(s);
  Lanes<u8> r{};
  for (unsigned i = 0; i < bytes; ++i) {
    const unsigned from = i + imm;
    if (from < bytes)
      r[i] = b[from];
    else if (from < 2 * bytes)
      r[i] = a[from - bytes];
  }
  return vector<u8>(r);
}
inline Vec pmaddubsw(Vec d, Vec s) {
  const Lanes<u8> a = lanes<u8>(d);
  const Lanes<i8> b = lanes<i8>(s);
  Lanes<i16> r;
  for (unsigned i = 0; i < 8; ++i) r[i] = saturate<i16>(a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1]);
  return vector<i16>(r);
}
inline Vec pmulhrsw(Vec d, Vec s) {
  return map<i16>(d, s, [](i32 x, i32 y) { return (((x * y) >> 14) + 1) >> 1; });
}
/// Negation wraps: the most negative value is its own negative.
template <class T>
Vec psign(Vec d, Vec s) {
  using U = std::make_unsigned_t<T>;
  return map<T>(d, s, [](T x, T y) {
    const U u = static_cast<U>(x);
    return static_cast<U>(y == 0 ? U{0} : y < 0 ? U{0} - u : u);
  });
}
template <class T>
Vec pabs(Vec, Vec s) {
  using U = std::make_unsigned_t<T>;
  return map<T>(s, [](T x) { return x < 0 ? static_cast<U>(U{0} - static_cast<U>(x)) : static_cast<U>(x); });
}

/// --- SSE4.1, SSE4.2 ---
template <class T>
Vec pmin(Vec d, Vec s) {
  return map<T>(d, s, [](T x, T y) { return std::min(x, y); });
}
template <class T>
Vec pmax(Vec d, Vec s) {
  return map<T>(d, s, [](T x, T y) { return std::max(x, y); });
}
inline Vec pmulld(Vec d, Vec s) {
  return map<u32>(d, s, [](u32 x, u32 y) { return x * y; });
}
inline Vec pmuldq(Vec d, Vec s) {
  const Lanes<i32> a = lanes<i32>(d), b = lanes<i32>(s);
  return vector<i64>({i64{a[0]} * b[0], i64{a[2]} * b[2]});
}
inline Vec pcmpeqq(Vec d, Vec s) {
  return map<u64>(d, s, [](u64 x, u64 y) { return x == y ? ~u64{0} : 0; });
}
inline Vec pcmpgtq(Vec d, Vec s) {
  return map<i64>(d, s, [](i64 x, i64 y) { return x > y ? i64{-1} : 0; });
}
inline Vec packusdw(Vec d, Vec s) {
  const Lanes<i32> a = lanes<i32>(d), b = lanes<i32>(s);
  Lanes<u16> r;
  for (unsigned i = 0; i < 4; ++i) {
    r[i] = saturate<u16>(a[i]);
    r[4 + i] = saturate<u16>(b[i]);
  }
  return vector<u16>(r);
}
/// PMOVSX, PMOVZX: the low elements of s, widened.
template <class From, class To>
Vec pmovx(Vec, Vec s) {
  const Lanes<From> a = lanes<From>(s);
  Lanes<To> r;
  for (unsigned i = 0; i < lane_count<To>; ++i) r[i] = static_cast<To>(a[i]);
  return vector<To>(r);
}
inline Vec phminposuw(Vec, Vec s) {
  const Lanes<u16> a = lanes<u16>(s);
  unsigned best = 0;
  for (unsigned i = 1; i < 8; ++i)
    if (a[i] < a[best]) best = i;
  return from32(u32{a[best]} | u32{best} << 16);
}
inline Vec mpsadbw(Vec d, Vec s, u8 imm) {
  const Lanes<u8> a = lanes<u8>(d), b = lanes<u8>(s);
  const unsigned from_d = imm & 4u, from_s = (imm & 3u) * 4;
  Lanes<u16> r{};
  for (unsigned i = 0; i < 8; ++i)
    for (unsigned k = 0; k < 4; ++k) {
      const int difference = a[from_d + i + k] - b[from_s + k];
      r[i] = static_cast<u16>(r[i] + (difference < 0 ? -difference : difference));
    }
  return vector<u16>(r);
}
/// PTEST's flags in RFLAGS layout: ZF if d AND s is zero, CF if s AND NOT d is.
inline u64 ptest(Vec d, Vec s) {
  const auto is_zero = [](Vec v) { return (low64(v) | high64(v)) == 0; };
  return (is_zero(pand(d, s)) ? rflags::ZF : 0) | (is_zero(pandn(d, s)) ? rflags::CF : 0);
}

}  // namespace bunshin::sse
