// ROUNDPS and its like, FMA3 and F16C in integers, for hosts without them: the same results and flags as the instructions of a host that has them,
// under any rounding mode, DAZ and FTZ.

#include <gtest/gtest.h>

#include <cstdio>
#include <random>
#include <string>

#include "core/sse/float.h"
#include "core/sse/fma.h"
#include "core/sse/half_precision.h"

namespace bunshin::sse {
namespace {

constexpr unsigned rounds = 20'000;

using FusedOp = Vec (*)(Vec a, Vec b, Vec c);
using SoftFusedOp = Vec (*)(Vec a, Vec b, Vec c, FusedSigns signs);
struct Fused {
  const char* name;
  FusedOp host;
  SoftFusedOp soft;
  FusedSigns signs;
};

// clang-format off
constexpr Fused instructions[] = {
    {"vfmadd132ps", vfmadd132ps, soft_fused<u32, 4, 132>, vfmadd},
    {"vfmadd132pd", vfmadd132pd, soft_fused<u64, 2, 132>, vfmadd},
    {"vfmadd132ss", vfmadd132ss, soft_fused<u32, 1, 132>, vfmadd},
    {"vfmadd132sd", vfmadd132sd, soft_fused<u64, 1, 132>, vfmadd},
    {"vfmadd213ps", vfmadd213ps, soft_fused<u32, 4, 213>, vfmadd},
    {"vfmadd213pd", vfmadd213pd, soft_fused<u64, 2, 213>, vfmadd},
    {"vfmadd213ss", vfmadd213ss, soft_fused<u32, 1, 213>, vfmadd},
    {"vfmadd213sd", vfmadd213sd, soft_fused<u64, 1, 213>, vfmadd},
    {"vfmadd231ps", vfmadd231ps, soft_fused<u32, 4, 231>, vfmadd},
    {"vfmadd231pd", vfmadd231pd, soft_fused<u64, 2, 231>, vfmadd},
    {"vfmadd231ss", vfmadd231ss, soft_fused<u32, 1, 231>, vfmadd},
    {"vfmadd231sd", vfmadd231sd, soft_fused<u64, 1, 231>, vfmadd},
    {"vfmsub132ps", vfmsub132ps, soft_fused<u32, 4, 132>, vfmsub},
    {"vfmsub132pd", vfmsub132pd, soft_fused<u64, 2, 132>, vfmsub},
    {"vfmsub132ss", vfmsub132ss, soft_fused<u32, 1, 132>, vfmsub},
    {"vfmsub132sd", vfmsub132sd, soft_fused<u64, 1, 132>, vfmsub},
    {"vfmsub213ps", vfmsub213ps, soft_fused<u32, 4, 213>, vfmsub},
    {"vfmsub213pd", vfmsub213pd, soft_fused<u64, 2, 213>, vfmsub},
    {"vfmsub213ss", vfmsub213ss, soft_fused<u32, 1, 213>, vfmsub},
    {"vfmsub213sd", vfmsub213sd, soft_fused<u64, 1, 213>, vfmsub},
    {"vfmsub231ps", vfmsub231ps, soft_fused<u32, 4, 231>, vfmsub},
    {"vfmsub231pd", vfmsub231pd, soft_fused<u64, 2, 231>, vfmsub},
    {"vfmsub231ss", vfmsub231ss, soft_fused<u32, 1, 231>, vfmsub},
    {"vfmsub231sd", vfmsub231sd, soft_fused<u64, 1, 231>, vfmsub},
    {"vfnmadd132ps", vfnmadd132ps, soft_fused<u32, 4, 132>, vfnmadd},
    {"vfnmadd132pd", vfnmadd132pd, soft_fused<u64, 2, 132>, vfnmadd},
    {"vfnmadd132ss", vfnmadd132ss, soft_fused<u32, 1, 132>, vfnmadd},
    {"vfnmadd132sd", vfnmadd132sd, soft_fused<u64, 1, 132>, vfnmadd},
    {"vfnmadd213ps", vfnmadd213ps, soft_fused<u32, 4, 213>, vfnmadd},
    {"vfnmadd213pd", vfnmadd213pd, soft_fused<u64, 2, 213>, vfnmadd},
    {"vfnmadd213ss", vfnmadd213ss, soft_fused<u32, 1, 213>, vfnmadd},
    {"vfnmadd213sd", vfnmadd213sd, soft_fused<u64, 1, 213>, vfnmadd},
    {"vfnmadd231ps", vfnmadd231ps, soft_fused<u32, 4, 231>, vfnmadd},
    {"vfnmadd231pd", vfnmadd231pd, soft_fused<u64, 2, 231>, vfnmadd},
    {"vfnmadd231ss", vfnmadd231ss, soft_fused<u32, 1, 231>, vfnmadd},
    {"vfnmadd231sd", vfnmadd231sd, soft_fused<u64, 1, 231>, vfnmadd},
    {"vfnmsub132ps", vfnmsub132ps, soft_fused<u32, 4, 132>, vfnmsub},
    {"vfnmsub132pd", vfnmsub132pd, soft_fused<u64, 2, 132>, vfnmsub},
    {"vfnmsub132ss", vfnmsub132ss, soft_fused<u32, 1, 132>, vfnmsub},
    {"vfnmsub132sd", vfnmsub132sd, soft_fused<u64, 1, 132>, vfnmsub},
    {"vfnmsub213ps", vfnmsub213ps, soft_fused<u32, 4, 213>, vfnmsub},
    {"vfnmsub213pd", vfnmsub213pd, soft_fused<u64, 2, 213>, vfnmsub},
    {"vfnmsub213ss", vfnmsub213ss, soft_fused<u32, 1, 213>, vfnmsub},
    {"vfnmsub213sd", vfnmsub213sd, soft_fused<u64, 1, 213>, vfnmsub},
    {"vfnmsub231ps", vfnmsub231ps, soft_fused<u32, 4, 231>, vfnmsub},
    {"vfnmsub231pd", vfnmsub231pd, soft_fused<u64, 2, 231>, vfnmsub},
    {"vfnmsub231ss", vfnmsub231ss, soft_fused<u32, 1, 231>, vfnmsub},
    {"vfnmsub231sd", vfnmsub231sd, soft_fused<u64, 1, 231>, vfnmsub},
    {"vfmaddsub132ps", vfmaddsub132ps, soft_fused<u32, 4, 132>, vfmaddsub},
    {"vfmaddsub132pd", vfmaddsub132pd, soft_fused<u64, 2, 132>, vfmaddsub},
    {"vfmaddsub213ps", vfmaddsub213ps, soft_fused<u32, 4, 213>, vfmaddsub},
    {"vfmaddsub213pd", vfmaddsub213pd, soft_fused<u64, 2, 213>, vfmaddsub},
    {"vfmaddsub231ps", vfmaddsub231ps, soft_fused<u32, 4, 231>, vfmaddsub},
    {"vfmaddsub231pd", vfmaddsub231pd, soft_fused<u64, 2, 231>, vfmaddsub},
    {"vfmsubadd132ps", vfmsubadd132ps, soft_fused<u32, 4, 132>, vfmsubadd},
    {"vfmsubadd132pd", vfmsubadd132pd, soft_fused<u64, 2, 132>, vfmsubadd},
    {"vfmsubadd213ps", vfmsubadd213ps, soft_fused<u32, 4, 213>, vfmsubadd},
    {"vfmsubadd213pd", vfmsubadd213pd, soft_fused<u64, 2, 213>, vfmsubadd},
    {"vfmsubadd231ps", vfmsubadd231ps, soft_fused<u32, 4, 231>, vfmsubadd},
    {"vfmsubadd231pd", vfmsubadd231pd, soft_fused<u64, 2, 231>, vfmsubadd},
};
// clang-format on

class Operands {
 public:
  u64 bits() { return random_(); }
  unsigned below(unsigned n) { return static_cast<unsigned>(random_() % n); }

  template <class Bits>
  Vec vector() {
    Lanes<Bits> a;
    for (Bits& x : a) x = element<Bits>();
    return sse::vector<Bits>(a);
  }
  u32 control() { return static_cast<u32>(mxcsr::masks | (bits() & (mxcsr::RC | mxcsr::DAZ | mxcsr::FTZ))); }

 private:
  /// Any exponent or one where the operands of a sum meet, at the ends of the range, or around one and what half precision
  /// can say; fractions with long runs of equal bits are near the ties.
  template <class Bits>
  Bits element() {
    using E = soft::Element<Bits>;
    using F = Format<Bits>;
    constexpr unsigned steps = sizeof(Bits) == 2 ? 4 : 32;
    u64 exponent = 0;
    switch (below(8)) {
      case 0: exponent = bits() % (F::max_exponent + 1); break;
      case 1: exponent = below(steps); break;
      case 2: exponent = F::max_exponent - below(steps); break;
      case 3: exponent = F::bias / 2 + below(2 * steps); break;
      case 4: exponent = below(3) == 0 ? F::max_exponent : 0; break;
      default: exponent = F::bias - steps / 2 + below(steps); break;
    }
    u64 fraction = bits() & E::fraction_mask;
    switch (below(6)) {
      case 0: fraction = 0; break;
      case 1: fraction = E::fraction_mask << below(F::fraction_bits); break;
      case 2: fraction = E::fraction_mask >> below(F::fraction_bits); break;
      case 3: fraction = u64{1} << below(F::fraction_bits); break;
      default: break;
    }
    const u64 sign = below(2) != 0 ? E::sign_bit : 0;
    return static_cast<Bits>(sign | exponent << F::fraction_bits | (fraction & E::fraction_mask));
  }
  std::mt19937_64 random_{20261123};
};

struct Outcome {
  Vec result;
  u32 flags;
};
template <class Compute>
Outcome run(u32 control, const Compute& compute) {
  const u32 own = _mm_getcsr();
  _mm_setcsr(control);
  const Vec result = compute();
  const u32 flags = _mm_getcsr() & mxcsr::flags;
  _mm_setcsr(own);
  return {result, flags};
}
bool same(const Outcome& a, const Outcome& b) {
  return low64(a.result) == low64(b.result) && high64(a.result) == high64(b.result) && a.flags == b.flags;
}
std::string text(Vec v) {
  char line[40];
  std::snprintf(line, sizeof line, " %016lx:%016lx", high64(v), low64(v));
  return line;
}
std::string describe(const Outcome& ours, const Outcome& host, u32 control) {
  char line[64];
  std::snprintf(line, sizeof line, " flags %x, host %x, mxcsr %x", ours.flags, host.flags, control);
  return text(ours.result) + ", host" + text(host.result) + line;
}

/// A difference in one of many rounds, described.
template <class Bits>
std::string compare(const Fused& f, Operands& operands) {
  for (unsigned i = 0; i < rounds; ++i) {
    Vec a = operands.vector<Bits>();
    const Vec b = operands.vector<Bits>(), c = operands.vector<Bits>();
    // A sum that cancels, or nearly.
    if (operands.below(4) == 0) a = sse::mulpd(b, c);
    const u32 control = operands.control();
    const Outcome host = run(control, [&] { return f.host(a, b, c); });
    const Outcome ours = run(control, [&] { return f.soft(a, b, c, f.signs); });
    if (!same(ours, host)) return describe(ours, host, control) + " from" + text(a) + text(b) + text(c);
  }
  return {};
}

TEST(SoftFloat, FusedMultiplyAddIsTheHosts) {
  if (!host_has_fma) GTEST_SKIP() << "the host lacks FMA";
  Operands operands;
  for (const Fused& f : instructions) {
    const bool doubles = std::string_view(f.name).ends_with('d');
    EXPECT_EQ(doubles ? compare<u64>(f, operands) : compare<u32>(f, operands), "") << f.name;
  }
}

TEST(SoftFloat, EveryHalfBecomesTheHostsSingle) {
  if (!host_has_f16c) GTEST_SKIP() << "the host lacks F16C";
  for (const u32 extra : {0u, u32{mxcsr::DAZ}}) {
    for (u32 half = 0; half < 0x10000; ++half) {
      const Vec s = from32(half);
      const Outcome host = run(mxcsr::masks | extra, [&] { return vcvtph2ps(s); });
      const Outcome ours = run(mxcsr::masks | extra, [&] { return soft_vcvtph2ps(s); });
      ASSERT_TRUE(same(ours, host)) << half << describe(ours, host, mxcsr::masks | extra);
    }
  }
}

TEST(SoftFloat, SinglesBecomeTheHostsHalves) {
  if (!host_has_f16c) GTEST_SKIP() << "the host lacks F16C";
  Operands operands;
  for (unsigned i = 0; i < 20 * rounds; ++i) {
    const Vec s = operands.below(2) != 0 ? operands.vector<u32>() : soft_vcvtph2ps(operands.vector<u16>());
    // Around the halves and the middle between two.
    const Vec nudged = _mm_add_epi32(s, _mm_set1_epi32(static_cast<i32>(operands.below(3) * 0x1000) - 1));
    const u32 control = operands.control();
    const auto imm = static_cast<u8>(operands.bits());
    const Outcome host = run(control, [&] { return vcvtps2ph(nudged, imm); });
    const Outcome ours = run(control, [&] { return soft_vcvtps2ph(nudged, imm); });
    ASSERT_TRUE(same(ours, host)) << describe(ours, host, control) << " imm " << int{imm} << " from" << text(nudged);
  }
}

/// A difference in one of many rounds, described.
template <class Bits>
std::string compare_rounding(ImmOp host_round, ImmOp soft_round) {
  Operands operands;
  for (unsigned i = 0; i < 5 * rounds; ++i) {
    const Vec d = operands.vector<Bits>(), s = operands.vector<Bits>();
    const u32 control = operands.control();
    const auto imm = static_cast<u8>(operands.bits());
    const Outcome host = run(control, [&] { return host_round(d, s, imm); });
    const Outcome ours = run(control, [&] { return soft_round(d, s, imm); });
    if (!same(ours, host)) return describe(ours, host, control) + " imm " + std::to_string(imm) + " from" + text(s);
  }
  return {};
}
TEST(SoftFloat, RoundingToIntegersIsTheHosts) {
  if (!host_has_sse41) GTEST_SKIP() << "the host lacks SSE4.1";
  EXPECT_EQ(compare_rounding<u32>(roundps, round_elements<u32, 4>), "");
  EXPECT_EQ(compare_rounding<u64>(roundpd, round_elements<u64, 2>), "");
  EXPECT_EQ(compare_rounding<u32>(roundss, round_elements<u32, 1>), "");
  EXPECT_EQ(compare_rounding<u64>(roundsd, round_elements<u64, 1>), "");
}

/// Without the host's help: (1 + 2^-52)^2 - (1 + 2^-51) is 2^-104, of which rounding the product first leaves nothing.
TEST(SoftFloat, TheProductIsNotRounded) {
  const u64 x = 0x3ff0000000000001, z = 0xbff0000000000002;
  const Outcome ours = run(mxcsr::masks, [&] {
    Environment env;
    const Vec sum = from64(fused_multiply_add<u64>(x, x, z, false, false, env));
    env.commit();
    return sum;
  });
  EXPECT_EQ(low64(ours.result), u64{1023 - 104} << 52);
  EXPECT_EQ(ours.flags, 0u);
}

TEST(SoftFloat, LargestSingleOverflowsToInfinityInHalfPrecision) {
  const Outcome ours = run(mxcsr::masks, [] { return soft_vcvtps2ph(from32(0x7f7fffff), 0); });
  EXPECT_EQ(low32(ours.result), 0x7c00u);
  EXPECT_EQ(ours.flags, u32{mxcsr::OE | mxcsr::PE});
}

}  // namespace
}  // namespace bunshin::sse
