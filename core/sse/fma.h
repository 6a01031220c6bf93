#pragma once

// FMA3: by the host's instruction of the same name where it has one, in integers elsewhere. All sixty instructions are
// the host's own because the order of NaNs and the signs of zeros follow the form of operands.

#include "core/sse/host_extensions.h"
#include "core/sse/soft_float.h"

namespace bunshin::sse {

/// Signs of x * y + z: whether to negate the product, and the addend of odd and of even elements.
struct FusedSigns {
  bool product = false, odd_addend = false, even_addend = false;
};
inline constexpr FusedSigns vfmadd{false, false, false}, vfmsub{false, true, true}, vfnmadd{true, false, false},
    vfnmsub{true, true, true}, vfmaddsub{false, false, true}, vfmsubadd{false, true, false};

/// The first `count` elements, the others from a. `order`: 132 is a * c + b, 213 is b * a + c, 231 is b * c + a (SDM vol. 2,
/// VFMADD132PD).
template <class Bits, unsigned count, unsigned order>
Vec soft_fused(Vec a, Vec b, Vec c, FusedSigns signs) {
  Environment env;
  Lanes<Bits> out = lanes<Bits>(a);
  const Lanes<Bits> second = lanes<Bits>(b), third = lanes<Bits>(c);
  for (unsigned i = 0; i < count; ++i) {
    const Bits x = order == 132 ? out[i] : second[i];
    const Bits y = order == 213 ? out[i] : third[i];
    const Bits z = order == 132 ? second[i] : order == 213 ? third[i] : out[i];
    const bool negate_addend = i % 2 == 0 ? signs.even_addend : signs.odd_addend;
    out[i] = fused_multiply_add<Bits>(x, y, z, signs.product, negate_addend, env);
  }
  env.commit();
  return vector<Bits>(out);
}

/// Assembly text cannot be a template argument.
#define BUNSHIN_FUSED(name, order, type, Bits, count)                          \
  inline Vec name##order##type(Vec a, Vec b, Vec c) {                          \
    if (!host_has_fma) [[unlikely]]                                            \
      return soft_fused<Bits, count, order>(a, b, c, name);                    \
    asm volatile(#name #order #type " %2, %1, %0" : "+x"(a) : "x"(b), "x"(c)); \
    return a;                                                                  \
  }
#define BUNSHIN_FUSED_PACKED(name)     \
  BUNSHIN_FUSED(name, 132, ps, u32, 4) \
  BUNSHIN_FUSED(name, 213, ps, u32, 4) \
  BUNSHIN_FUSED(name, 231, ps, u32, 4) \
  BUNSHIN_FUSED(name, 132, pd, u64, 2) \
  BUNSHIN_FUSED(name, 213, pd, u64, 2) \
  BUNSHIN_FUSED(name, 231, pd, u64, 2)
#define BUNSHIN_FUSED_ALL(name)        \
  BUNSHIN_FUSED_PACKED(name)           \
  BUNSHIN_FUSED(name, 132, ss, u32, 1) \
  BUNSHIN_FUSED(name, 213, ss, u32, 1) \
  BUNSHIN_FUSED(name, 231, ss, u32, 1) \
  BUNSHIN_FUSED(name, 132, sd, u64, 1) \
  BUNSHIN_FUSED(name, 213, sd, u64, 1) \
  BUNSHIN_FUSED(name, 231, sd, u64, 1)

BUNSHIN_FUSED_ALL(vfmadd)
BUNSHIN_FUSED_ALL(vfmsub)
BUNSHIN_FUSED_ALL(vfnmadd)
BUNSHIN_FUSED_ALL(vfnmsub)
BUNSHIN_FUSED_PACKED(vfmaddsub)
BUNSHIN_FUSED_PACKED(vfmsubadd)

#undef BUNSHIN_FUSED_ALL
#undef BUNSHIN_FUSED_PACKED
#undef BUNSHIN_FUSED

}  // namespace bunshin::sse
