// Division and bits of 64-bit numbers, which 32-bit code calls by the names of the compiler's own library.

#include "base/types.h"

namespace {

using bunshin::i64;
using bunshin::u32;
using bunshin::u64;

struct Division {
  u64 quotient = 0, rest = 0;
};

/// 64 bits by 32, where the quotient fits into 32.
u32 divide_word(u32 high, u32 low, u32 divisor, u32& rest) {
  u32 quotient;
  asm("divl %4" : "=a"(quotient), "=d"(rest) : "a"(low), "d"(high), "rm"(divisor));
  return quotient;
}

/// A divisor of two words makes a quotient of one: an estimate from the upper words, which is one too large at most (Hacker's
/// Delight, 9-5).
Division divide(u64 value, u64 divisor) {
  const u32 high = static_cast<u32>(value >> 32), low = static_cast<u32>(value);
  if (divisor >> 32 == 0) {
    const u32 by = static_cast<u32>(divisor);
    u32 rest = 0;
    const u32 upper = high < by ? 0 : divide_word(0, high, by, rest);
    if (high < by) rest = high;
    const u32 lower = divide_word(rest, low, by, rest);
    return {u64{upper} << 32 | lower, rest};
  }
  const unsigned shift = static_cast<unsigned>(__builtin_clz(static_cast<u32>(divisor >> 32)));
  const u32 top = static_cast<u32>(divisor << shift >> 32);
  const u64 half = value >> 1;
  u32 ignored = 0;
  const u32 estimate = divide_word(static_cast<u32>(half >> 32), static_cast<u32>(half), top, ignored);
  u64 quotient = (u64{estimate} << shift) >> 31;
  if (quotient != 0) --quotient;
  if (value - quotient * divisor >= divisor) ++quotient;
  return {quotient, value - quotient * divisor};
}

u64 magnitude(i64 value) { return value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value); }

}  // namespace

extern "C" {
u64 __udivdi3(u64 value, u64 divisor) { return divide(value, divisor).quotient; }
u64 __umoddi3(u64 value, u64 divisor) { return divide(value, divisor).rest; }
u64 __udivmoddi4(u64 value, u64 divisor, u64* rest) {
  const Division d = divide(value, divisor);
  if (rest != nullptr) *rest = d.rest;
  return d.quotient;
}
i64 __divmoddi4(i64 value, i64 divisor, i64* rest) {
  const Division d = divide(magnitude(value), magnitude(divisor));
  if (rest != nullptr) *rest = static_cast<i64>(value < 0 ? 0 - d.rest : d.rest);
  return static_cast<i64>((value < 0) != (divisor < 0) ? 0 - d.quotient : d.quotient);
}
i64 __divdi3(i64 value, i64 divisor) { return __divmoddi4(value, divisor, nullptr); }
i64 __moddi3(i64 value, i64 divisor) {
  i64 rest = 0;
  __divmoddi4(value, divisor, &rest);
  return rest;
}
/// Of a number that is not 0.
int __ctzdi2(u64 value) {
  const u32 low = static_cast<u32>(value);
  return low != 0 ? __builtin_ctz(low) : 32 + __builtin_ctz(static_cast<u32>(value >> 32));
}
int __popcountdi2(u64 value) {
  int ones = 0;
  for (; value != 0; value &= value - 1) ++ones;
  return ones;
}
}
