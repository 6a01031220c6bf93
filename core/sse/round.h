#pragma once

// SSE4.1 ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD: by the host's instructions where it has them, in integers elsewhere.

#include "core/sse/host_extensions.h"
#include "core/sse/host_mxcsr.h"
#include "core/sse/shuffle.h"

namespace bunshin::sse {

template <class Bits>
struct Format;
template <>
struct Format<u32> {
  static constexpr unsigned fraction_bits = 23, bias = 127, max_exponent = 255;
};
template <>
struct Format<u64> {
  static constexpr unsigned fraction_bits = 52, bias = 1023, max_exponent = 2047;
};

/// How to round, and what rounding raised (MXCSR flags).
struct Rounding {
  enum Mode : u8 { Nearest, Down, Up, Truncate };
  Mode mode = Nearest;
  bool denormals_are_zero = false;
  u32 raised = 0;
};

/// One element, rounded to an integral value.
template <class Bits>
Bits round_element(Bits x, Rounding& how) {
  using F = Format<Bits>;
  constexpr Bits sign_bit = Bits{1} << (8 * sizeof(Bits) - 1);
  constexpr Bits fraction_mask = (Bits{1} << F::fraction_bits) - 1;
  const unsigned exponent = static_cast<unsigned>(x >> F::fraction_bits) & F::max_exponent;
  const Bits fraction = x & fraction_mask, sign = x & sign_bit;
  if (exponent == F::max_exponent && fraction != 0) {
    constexpr Bits quiet = Bits{1} << (F::fraction_bits - 1);
    if ((x & quiet) == 0) how.raised |= mxcsr::IE;
    return x | quiet;
  }
  if (exponent >= F::bias + F::fraction_bits || (x & ~sign_bit) == 0) return x;
  if (exponent == 0 && how.denormals_are_zero) return sign;
  if (exponent < F::bias) {
    how.raised |= mxcsr::PE;
    const bool above_half = exponent == F::bias - 1 && fraction != 0;
    const bool away = how.mode == Rounding::Nearest ? above_half
                      : how.mode == Rounding::Down  ? sign != 0
                      : how.mode == Rounding::Up    ? sign == 0
                                                    : false;
    return away ? sign | (Bits{F::bias} << F::fraction_bits) : sign;
  }
  const unsigned dropped = F::fraction_bits - (exponent - F::bias);
  const Bits unit = Bits{1} << dropped, rest = x & (unit - 1), half = unit >> 1;
  if (rest == 0) return x;
  how.raised |= mxcsr::PE;
  const bool odd = ((x >> dropped) & 1) != 0;  // of 1.x: the exponent's low bit, which is set as the bias is odd
  const bool away = how.mode == Rounding::Nearest ? rest > half || (rest == half && odd)
                    : how.mode == Rounding::Down  ? sign != 0
                    : how.mode == Rounding::Up    ? sign == 0
                                                  : false;
  return (x - rest) + (away ? unit : 0);
}

/// The first `count` elements of s rounded, the others from d. imm[2]: mode from MXCSR, else imm[1:0]; imm[3]: no #P.
template <class Bits, unsigned count>
Vec round_elements(Vec d, Vec s, u8 imm) {
  const u32 control = _mm_getcsr();
  Rounding how;
  how.mode = static_cast<Rounding::Mode>((imm & 4) != 0 ? (control & mxcsr::RC) >> 13 : imm & 3);
  how.denormals_are_zero = (control & mxcsr::DAZ) != 0;
  Lanes<Bits> a = lanes<Bits>(d);
  const Lanes<Bits> b = lanes<Bits>(s);
  for (unsigned i = 0; i < count; ++i) a[i] = round_element(b[i], how);
  if ((imm & 8) != 0) how.raised &= ~mxcsr::PE;
  if ((how.raised & ~control) != 0) _mm_setcsr(control | how.raised);
  return vector<Bits>(a);
}

struct HostRoundPs {
  template <int imm>
  static Vec round(Vec d, Vec s) {
    asm volatile("roundps %2, %1, %0" : "+x"(d) : "x"(s), "i"(imm));
    return d;
  }
};
struct HostRoundPd {
  template <int imm>
  static Vec round(Vec d, Vec s) {
    asm volatile("roundpd %2, %1, %0" : "+x"(d) : "x"(s), "i"(imm));
    return d;
  }
};
struct HostRoundSs {
  template <int imm>
  static Vec round(Vec d, Vec s) {
    asm volatile("roundss %2, %1, %0" : "+x"(d) : "x"(s), "i"(imm));
    return d;
  }
};
struct HostRoundSd {
  template <int imm>
  static Vec round(Vec d, Vec s) {
    asm volatile("roundsd %2, %1, %0" : "+x"(d) : "x"(s), "i"(imm));
    return d;
  }
};
/// The immediate is a part of the host's instruction; its other bits are ignored.
template <class Host, class Bits, unsigned count>
Vec round(Vec d, Vec s, u8 imm) {
  if (!host_has_sse41) [[unlikely]]
    return round_elements<Bits, count>(d, s, imm);
  switch (imm & 15) {
    case 0: return Host::template round<0>(d, s);
    case 1: return Host::template round<1>(d, s);
    case 2: return Host::template round<2>(d, s);
    case 3: return Host::template round<3>(d, s);
    case 8: return Host::template round<8>(d, s);
    case 9: return Host::template round<9>(d, s);
    case 10: return Host::template round<10>(d, s);
    case 11: return Host::template round<11>(d, s);
    default: return (imm & 8) != 0 ? Host::template round<12>(d, s) : Host::template round<4>(d, s);
  }
}
inline Vec roundps(Vec d, Vec s, u8 imm) { return round<HostRoundPs, u32, 4>(d, s, imm); }
inline Vec roundpd(Vec d, Vec s, u8 imm) { return round<HostRoundPd, u64, 2>(d, s, imm); }
inline Vec roundss(Vec d, Vec s, u8 imm) { return round<HostRoundSs, u32, 1>(d, s, imm); }
inline Vec roundsd(Vec d, Vec s, u8 imm) { return round<HostRoundSd, u64, 1>(d, s, imm); }

}  // namespace bunshin::sse
