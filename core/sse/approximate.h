#pragma once

// RCPPS and RSQRTPS. Processors differ in these: the SDM only bounds the relative error by 1.5 * 2^-12. So that every
// host gives the same result, ours is the exact value truncated to 12 fraction bits (error below 2^-12), computed in
// integers. They ignore MXCSR and raise nothing; denormal operands count as zero, tiny results become zero (SDM vol.
// 2, RCPPS).

#include <bit>

#include "core/sse/vector.h"

namespace bunshin::sse {

inline constexpr u32 single_infinity = 0x7f800000, single_indefinite = 0xffc00000, single_quiet = 0x00400000;

/// `mantissa` is an integer of at least 13 significant bits; keeps the first 13 (one hidden) under this biased
/// exponent.
constexpr u32 truncated_single(u32 sign, int biased_exponent, u64 mantissa) {
  const unsigned width = static_cast<unsigned>(std::bit_width(mantissa));
  const u32 fraction = static_cast<u32>(mantissa >> (width - 13)) & 0xfff;
  return sign | static_cast<u32>(biased_exponent) << 23 | fraction << 11;
}

constexpr u32 reciprocal(u32 x) {
  const u32 sign = x & 0x80000000;
  const int exponent = static_cast<int>((x >> 23) & 255);
  const u32 fraction = x & 0x7fffff;
  if (exponent == 255) return fraction != 0 ? x | single_quiet : sign;
  if (exponent == 0) return sign | single_infinity;
  // 1/1.f is in (0.5, 1], and 1 only for f = 0.
  const int result = 254 - exponent - (fraction != 0 ? 1 : 0);
  if (result <= 0) return sign;
  return truncated_single(sign, result, (u64{1} << 62) / (u64{0x800000} | fraction));
}

constexpr u64 integer_square_root(u64 v) {
  u64 root = 0;
  for (u64 bit = u64{1} << 31; bit != 0; bit >>= 1) {
    const u64 candidate = root | bit;
    if (candidate * candidate <= v) root = candidate;
  }
  return root;
}

constexpr u32 reciprocal_square_root(u32 x) {
  const u32 sign = x & 0x80000000;
  const int exponent = static_cast<int>((x >> 23) & 255);
  const u32 fraction = x & 0x7fffff;
  if (exponent == 255 && fraction != 0) return x | single_quiet;
  if (exponent == 0) return sign | single_infinity;
  if (sign != 0) return single_indefinite;
  if (exponent == 255) return 0;
  // x = m * 2^(2h) with m in [1, 4): the result is 1/sqrt(m), in (0.5, 1], times 2^-h.
  const int unbiased = exponent - 127;
  const int odd = unbiased & 1;
  const int half = (unbiased - odd) / 2;
  const u64 m = (u64{0x800000} | fraction) << odd;
  const bool is_one = fraction == 0 && odd == 0;
  return truncated_single(0, 127 - half - (is_one ? 0 : 1), integer_square_root((u64{1} << 63) / m));
}

inline Vec rcpps(Vec, Vec s) { return map<u32>(s, reciprocal); }
inline Vec rsqrtps(Vec, Vec s) { return map<u32>(s, reciprocal_square_root); }
inline Vec rcpss(Vec d, Vec s) {
  Lanes<u32> a = lanes<u32>(d);
  a[0] = reciprocal(low32(s));
  return vector<u32>(a);
}
inline Vec rsqrtss(Vec d, Vec s) {
  Lanes<u32> a = lanes<u32>(d);
  a[0] = reciprocal_square_root(low32(s));
  return vector<u32>(a);
}

}  // namespace bunshin::sse
