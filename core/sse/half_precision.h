#pragma once

// F16C: by the host's instructions where it has them, in integers elsewhere.

#include "core/sse/host_extensions.h"
#include "core/sse/soft_float.h"

namespace bunshin::sse {

inline Vec soft_vcvtph2ps(Vec s) {
  Environment env;
  const Lanes<u16> halves = lanes<u16>(s);
  Lanes<u32> singles;
  for (unsigned i = 0; i < 4; ++i) singles[i] = half_to_single(halves[i], env);
  env.commit();
  return vector<u32>(singles);
}
/// imm[2]: mode from MXCSR, else imm[1:0].
inline Vec soft_vcvtps2ph(Vec s, u8 imm) {
  Environment env;
  if ((imm & 4) == 0) env.mode = static_cast<Rounding::Mode>(imm & 3);
  const Lanes<u32> singles = lanes<u32>(s);
  Lanes<u16> halves{};
  for (unsigned i = 0; i < 4; ++i) halves[i] = single_to_half(singles[i], env);
  env.commit();
  return vector<u16>(halves);
}

/// The low four halves to singles.
inline Vec vcvtph2ps(Vec s) {
  if (!host_has_f16c) [[unlikely]]
    return soft_vcvtph2ps(s);
  Vec d;
  asm volatile("vcvtph2ps %1, %0" : "=x"(d) : "x"(s));
  return d;
}
template <int imm>
Vec host_vcvtps2ph(Vec s) {
  Vec d;
  asm volatile("vcvtps2ph %2, %1, %0" : "=x"(d) : "x"(s), "i"(imm));
  return d;
}
/// To four halves; zero above.
inline Vec vcvtps2ph(Vec s, u8 imm) {
  if (!host_has_f16c) [[unlikely]]
    return soft_vcvtps2ph(s, imm);
  switch (imm & 7) {
    case 0: return host_vcvtps2ph<0>(s);
    case 1: return host_vcvtps2ph<1>(s);
    case 2: return host_vcvtps2ph<2>(s);
    case 3: return host_vcvtps2ph<3>(s);
    default: return host_vcvtps2ph<4>(s);
  }
}

}  // namespace bunshin::sse
