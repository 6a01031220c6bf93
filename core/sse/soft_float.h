#pragma once

// Fused multiply-add and half precision in integers, for hosts without FMA3 and F16C: the same results and flags as the
// instructions' (SDM vol. 1, 14.4 and 14.5), proven against them by tests/core/sse_soft_float_test.cpp.

#include <bit>
#include <utility>

#include "core/sse/round.h"

namespace bunshin::sse {

template <>
struct Format<u16> {
  static constexpr unsigned fraction_bits = 10, bias = 15, max_exponent = 31;
};

/// The host's MXCSR, which is the guest's with all exceptions masked, as arithmetic in integers needs it.
struct Environment {
  Environment() : control(_mm_getcsr()), mode(static_cast<Rounding::Mode>((control & mxcsr::RC) >> 13)) {
    denormals_are_zero = (control & mxcsr::DAZ) != 0;
    flush_to_zero = (control & mxcsr::FTZ) != 0;
  }
  /// Adds what has been raised to the host's sticky flags.
  void commit() const {
    if ((raised & ~control) != 0) _mm_setcsr(control | raised);
  }

  u32 control;
  Rounding::Mode mode;
  bool denormals_are_zero = false, flush_to_zero = false;
  u32 raised = 0;
};

namespace soft {

constexpr unsigned leading_zeros(u128 v) {
  const auto high = static_cast<u64>(v >> 64);
  return static_cast<unsigned>(high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(static_cast<u64>(v)));
}
/// Shifts right; what is lost stays as a set lowest bit, so that rounding still sees that it was there.
constexpr u128 shift_right_jam(u128 v, unsigned n) {
  if (n == 0) return v;
  if (n >= 128) return v != 0 ? 1 : 0;
  return (v >> n) | ((v << (128 - n)) != 0 ? 1 : 0);
}

/// An element taken apart.
template <class Bits>
struct Element {
  using F = Format<Bits>;
  static constexpr Bits sign_bit = static_cast<Bits>(Bits{1} << (8 * sizeof(Bits) - 1));
  static constexpr Bits fraction_mask = static_cast<Bits>((Bits{1} << F::fraction_bits) - 1);
  static constexpr Bits quiet = static_cast<Bits>(Bits{1} << (F::fraction_bits - 1));
  static constexpr Bits infinity = static_cast<Bits>(Bits{F::max_exponent} << F::fraction_bits);
  static constexpr Bits indefinite = static_cast<Bits>(sign_bit | infinity | quiet);

  explicit Element(Bits v)
      : bits(v),
        exponent(static_cast<unsigned>(v >> F::fraction_bits) & F::max_exponent),
        fraction(v & fraction_mask) {}

  bool negative() const { return (bits & sign_bit) != 0; }
  bool nan() const { return exponent == F::max_exponent && fraction != 0; }
  bool signaling() const { return nan() && (fraction & quiet) == 0; }
  bool infinite() const { return exponent == F::max_exponent && fraction == 0; }
  bool zero() const { return exponent == 0 && fraction == 0; }
  bool denormal() const { return exponent == 0 && fraction != 0; }
  /// Denormals count as zero.
  void flush() { fraction = exponent == 0 ? 0 : fraction; }

  Bits bits;
  unsigned exponent;
  Bits fraction;
};

/// (significand / 2^127) * 2^exponent; a number other than zero has bit 127 set.
struct Number {
  bool negative = false;
  int exponent = 0;
  u128 significand = 0;

  void normalize() {
    const unsigned zeros = leading_zeros(significand);
    significand <<= zeros;
    exponent -= static_cast<int>(zeros);
  }
};

/// A finite element.
template <class Bits>
Number number(const Element<Bits>& e) {
  using F = Format<Bits>;
  Number n{e.negative(), 0, 0};
  if (e.zero()) return n;
  const Bits hidden = e.exponent != 0 ? static_cast<Bits>(Bits{1} << F::fraction_bits) : Bits{0};
  n.exponent = static_cast<int>(e.exponent != 0 ? e.exponent : 1) - static_cast<int>(F::bias);
  n.significand = u128{static_cast<Bits>(e.fraction | hidden)} << (127 - F::fraction_bits);
  n.normalize();
  return n;
}

/// Whether to take the next larger magnitude; `rest` are the bits below the last one kept, `half` the highest of them.
constexpr bool rounds_away(Rounding::Mode mode, bool negative, bool odd, u128 rest, u128 half) {
  switch (mode) {
    case Rounding::Nearest: return rest > half || (rest == half && odd);
    case Rounding::Down: return negative && rest != 0;
    case Rounding::Up: return !negative && rest != 0;
    case Rounding::Truncate: return false;
  }
  return false;
}

template <class Bits>
Bits overflowed(bool negative, Environment& env) {
  using E = Element<Bits>;
  env.raised |= mxcsr::OE | mxcsr::PE;
  const bool to_infinity = env.mode == Rounding::Nearest || (env.mode == Rounding::Down && negative) ||
                           (env.mode == Rounding::Up && !negative);
  return static_cast<Bits>((negative ? E::sign_bit : 0) | (to_infinity ? E::infinity : E::infinity - 1));
}

/// Rounds to the format. Tininess is found after rounding; flushing is the masked response to it (SDM vol. 1, 4.9.1.5 and
/// 10.2.3.3).
template <class Bits>
Bits round_number(const Number& n, Environment& env) {
  using F = Format<Bits>;
  using E = Element<Bits>;
  const Bits sign = n.negative ? E::sign_bit : Bits{0};
  if (n.significand == 0) return sign;
  constexpr unsigned dropped = 127 - F::fraction_bits;
  constexpr u128 unit = u128{1} << dropped, half = unit >> 1;
  int biased = n.exponent + static_cast<int>(F::bias);
  const auto away = [&](u128 v) { return rounds_away(env.mode, n.negative, (v & unit) != 0, v & (unit - 1), half); };
  u128 v = n.significand;
  bool tiny = false;
  if (biased <= 0) {
    const u128 kept = v >> dropped;
    const bool carries = away(v) && ((kept + 1) >> (F::fraction_bits + 1)) != 0;
    tiny = biased < 0 || !carries;
    v = shift_right_jam(v, static_cast<unsigned>(1 - biased));
    biased = 0;  // its hidden bit, if rounding brings one, counts as one
  } else {
    --biased;  // the hidden bit adds one
  }
  if (tiny && env.flush_to_zero) {
    env.raised |= mxcsr::UE | mxcsr::PE;
    return sign;
  }
  const bool inexact = (v & (unit - 1)) != 0;
  if (inexact) env.raised |= tiny ? mxcsr::PE | mxcsr::UE : mxcsr::PE;
  const u64 magnitude = (static_cast<u64>(biased) << F::fraction_bits) + static_cast<u64>(v >> dropped) +
                        static_cast<u64>(away(v) ? 1 : 0);
  if (biased >= static_cast<int>(F::max_exponent) || magnitude >= E::infinity) return overflowed<Bits>(n.negative, env);
  return static_cast<Bits>(sign | static_cast<Bits>(magnitude));
}

/// The sum of two numbers of which neither is zero, not rounded. Their lowest bits are clear or have been jammed below any
/// bit that can matter: a product has at most 106 significant bits.
inline Number sum(Number a, Number b, Rounding::Mode mode) {
  if (a.exponent < b.exponent || (a.exponent == b.exponent && a.significand < b.significand)) std::swap(a, b);
  const u128 large = a.significand >> 1;
  const u128 small = shift_right_jam(b.significand >> 1, static_cast<unsigned>(a.exponent - b.exponent));
  Number out{a.negative, a.exponent + 1, a.negative == b.negative ? large + small : large - small};
  if (out.significand == 0) return {mode == Rounding::Down, 0, 0};
  out.normalize();
  return out;
}

/// What an invalid operation or an operand that is not finite makes of x * y + z; false if it is a matter of numbers.
template <class Bits>
bool fused_special(const Element<Bits>& x, const Element<Bits>& y, const Element<Bits>& z, bool product_negative,
                   bool addend_negative, Environment& env, Bits& out) {
  using E = Element<Bits>;
  const bool invalid_product = (x.infinite() && y.zero()) || (x.zero() && y.infinite());
  if (x.nan() || y.nan() || z.nan()) {
    if (x.signaling() || y.signaling() || z.signaling()) env.raised |= mxcsr::IE;
    out = static_cast<Bits>((x.nan() ? x : y.nan() ? y : z).bits | E::quiet);
    return true;
  }
  const bool infinite_product = x.infinite() || y.infinite();
  if (invalid_product || (infinite_product && z.infinite() && product_negative != addend_negative)) {
    env.raised |= mxcsr::IE;
    out = E::indefinite;
    return true;
  }
  if (x.denormal() || y.denormal() || z.denormal()) env.raised |= mxcsr::DE;
  if (!infinite_product && !z.infinite()) return false;
  out = static_cast<Bits>((infinite_product ? product_negative : addend_negative) ? E::sign_bit | E::infinity
                                                                                  : E::infinity);
  return true;
}

}  // namespace soft

/// x * y + z, rounded once, with the product or the addend negated. The first NaN in the order x, y, z is the result,
/// its sign as it was; infinity times zero is not invalid if z is a NaN (SDM vol. 1, table 14-17).
template <class Bits>
Bits fused_multiply_add(Bits x_bits, Bits y_bits, Bits z_bits, bool negate_product, bool negate_addend,
                        Environment& env) {
  soft::Element<Bits> x(x_bits), y(y_bits), z(z_bits);
  if (env.denormals_are_zero) {
    for (soft::Element<Bits>* e : {&x, &y, &z}) e->flush();
  }
  const bool product_negative = (x.negative() != y.negative()) != negate_product;
  const bool addend_negative = z.negative() != negate_addend;
  Bits special{};
  if (soft::fused_special(x, y, z, product_negative, addend_negative, env, special)) return special;
  soft::Number product{product_negative, 0, 0}, addend = soft::number(z);
  addend.negative = addend_negative;
  if (!x.zero() && !y.zero()) {
    const soft::Number a = soft::number(x), b = soft::number(y);
    product.significand = (a.significand >> 64) * (b.significand >> 64);
    product.exponent = a.exponent + b.exponent + 1;
    product.normalize();
  }
  if (addend.significand == 0 && product.significand == 0) {
    const bool negative = product_negative == addend_negative ? product_negative : env.mode == Rounding::Down;
    return negative ? soft::Element<Bits>::sign_bit : Bits{0};
  }
  if (addend.significand == 0) return soft::round_number<Bits>(product, env);
  if (product.significand == 0) return soft::round_number<Bits>(addend, env);
  return soft::round_number<Bits>(soft::sum(product, addend, env.mode), env);
}

/// Half precision to single. Denormals are numbers, whatever MXCSR.DAZ says, and raise nothing (SDM vol. 1, 14.4.1).
inline u32 half_to_single(u16 half, Environment& env) {
  using E = soft::Element<u32>;
  const soft::Element<u16> e(half);
  const u32 sign = e.negative() ? E::sign_bit : 0;
  if (e.signaling()) env.raised |= mxcsr::IE;
  if (e.nan()) return sign | E::infinity | E::quiet | u32{e.fraction} << 13;
  if (e.infinite()) return sign | E::infinity;
  return soft::round_number<u32>(soft::number(e), env);
}
/// Single precision to half: denormal results are kept, whatever MXCSR.FTZ says. `env.mode` is what the immediate asks
/// for.
inline u16 single_to_half(u32 single, Environment& env) {
  using E = soft::Element<u16>;
  soft::Element<u32> e(single);
  if (env.denormals_are_zero) e.flush();
  const u16 sign = e.negative() ? E::sign_bit : u16{0};
  if (e.signaling()) env.raised |= mxcsr::IE;
  if (e.nan()) return static_cast<u16>(sign | E::infinity | E::quiet | e.fraction >> 13);
  if (e.infinite()) return static_cast<u16>(sign | E::infinity);
  if (e.denormal()) env.raised |= mxcsr::DE;
  env.flush_to_zero = false;
  return soft::round_number<u16>(soft::number(e), env);
}

}  // namespace bunshin::sse
