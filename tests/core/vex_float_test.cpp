// VEX-encoded floating point: what it keeps, what it clears, and what an unmasked exception leaves alone (SDM vol. 1, 11.5,
// 14.4, 14.5). That results and flags are a processor's own is what oracle_host_test.cpp asks.

#include "sse_runner.h"

namespace bunshin::sse_test {
namespace {

constexpr u32 one = 0x3f800000, two = 0x40000000, half = 0x3f000000, quiet = 0x7fc00001, signaling = 0x7f800001,
              smallest_normal = 0x00800000;
constexpr u64 old_bits = 0x1111111122222222;
constexpr std::initializer_list<u8> vdivps_ymm{0xc5, 0xec, 0x5e, 0xcb}, vaddss{0xc5, 0xea, 0x58, 0xcb},
    vcvtpd2ps_ymm{0xc5, 0xfd, 0x5a, 0xca}, vfmadd231ss{0xc4, 0xe2, 0x69, 0xb9, 0xcb},
    vcvtps2ph_store{0xc4, 0xe3, 0x79, 0x1d, 0x16, 0x00}, vcvtsi2sd{0xc4, 0xe1, 0xeb, 0x2a, 0xc8};

/// Destination 1, sources 2 and 3.
class VexFloat : public testing::Test {
 protected:
  VexFloat() {
    runner.enable_avx();
    runner.state().gpr[RSI] = data_page;
    for (unsigned i = 0; i < 2; ++i) {
      runner.state().xmm[1].set(i, old_bits);
      runner.state().ymm_high[1].set(i, old_bits);
    }
  }
  void unmask(u32 flags) { runner.state().mxcsr = mxcsr::initial & ~(flags << mxcsr::masks_shift); }
  void fill(unsigned number, u32 low, u32 others) {
    for (unsigned i = 0; i < 4; ++i) {
      runner.state().xmm[number].set(i, i == 0 ? low : others);
      runner.state().ymm_high[number].set(i, others);
    }
  }
  bool destination_is_old() {
    const CpuState& s = runner.state();
    return s.xmm[1].get<u64>(0) == old_bits && s.xmm[1].get<u64>(1) == old_bits && upper(0) == old_bits &&
           upper(1) == old_bits;
  }
  u64 upper(unsigned i) { return runner.state().ymm_high[1].get<u64>(i); }
  u32 result(unsigned i) { return runner.state().xmm[1].get<u32>(i); }
  u32 flags() { return runner.state().mxcsr & mxcsr::flags; }
  /// VCMPPS xmm1, xmm2, xmm3 of ones with NaNs; the flags it raises.
  u32 compare(u32 nan, u8 predicate) {
    runner.state().mxcsr = mxcsr::initial;
    fill(2, one, nan);
    fill(3, one, one);
    EXPECT_TRUE(runner.run({0xc5, 0xe8, 0xc2, 0xcb, predicate}));
    return flags();
  }

  Runner runner;
};

TEST_F(VexFloat, ExceptionInTheUpperLaneLeavesTheWholeRegister) {
  unmask(mxcsr::ZE);
  fill(2, one, one);
  fill(3, one, one);
  runner.state().ymm_high[3].set<u32>(2, 0);
  EXPECT_FALSE(runner.run(vdivps_ymm));
  EXPECT_TRUE(runner.core.raised(Vector::XM));
  EXPECT_TRUE(destination_is_old());
  EXPECT_EQ(flags(), mxcsr::ZE);
}

TEST_F(VexFloat, ScalarTakesItsUpperElementsFromTheFirstSourceAndClearsTheUpperLane) {
  fill(2, one, half);
  fill(3, one, quiet);
  EXPECT_TRUE(runner.run(vaddss));
  EXPECT_EQ(result(0), two);
  EXPECT_EQ(result(3), half);
  EXPECT_EQ(upper(0) | upper(1), 0u);
}

TEST_F(VexFloat, ConversionOfAnIntegerToo) {
  fill(2, one, half);
  runner.state().gpr[RAX] = ~u64{0};
  EXPECT_TRUE(runner.run(vcvtsi2sd));
  EXPECT_EQ(runner.state().xmm[1].get<u64>(0), 0xbff0000000000000u);
  EXPECT_EQ(result(3), half);
  EXPECT_EQ(upper(0) | upper(1), 0u);
}

TEST_F(VexFloat, FusedScalarKeepsItsOwnUpperElements) {
  fill(2, two, quiet);
  fill(3, half, quiet);
  runner.state().xmm[1].set<u32>(0, one);
  EXPECT_TRUE(runner.run(vfmadd231ss));
  EXPECT_EQ(result(0), two);
  EXPECT_EQ(runner.state().xmm[1].get<u64>(1), old_bits);
  EXPECT_EQ(upper(0) | upper(1), 0u);
}

TEST_F(VexFloat, FusedExceptionLeavesTheDestination) {
  unmask(mxcsr::IE);
  fill(2, signaling, one);
  fill(3, one, one);
  EXPECT_FALSE(runner.run(vfmadd231ss));
  EXPECT_TRUE(runner.core.raised(Vector::XM));
  EXPECT_TRUE(destination_is_old());
}

TEST_F(VexFloat, ExactDenormalOfAFusedOperationUnderflowsOnlyWhenUnmasked) {
  fill(2, smallest_normal, one);
  fill(3, half, one);
  runner.state().xmm[1].set<u32>(0, 0);
  EXPECT_TRUE(runner.run(vfmadd231ss));
  EXPECT_EQ(result(0), smallest_normal / 2);
  EXPECT_EQ(flags(), 0u);
  unmask(mxcsr::UE);
  runner.state().xmm[1].set<u32>(0, 0);
  EXPECT_FALSE(runner.run(vfmadd231ss));
  EXPECT_EQ(flags(), mxcsr::UE);
}

TEST_F(VexFloat, FourDoublesBecomeTheSinglesOfOneLane) {
  for (unsigned i = 0; i < 2; ++i) {
    runner.state().xmm[2].set<u64>(i, 0x3ff0000000000000);
    runner.state().ymm_high[2].set<u64>(i, 0x4000000000000000);
  }
  EXPECT_TRUE(runner.run(vcvtpd2ps_ymm));
  EXPECT_EQ(runner.state().xmm[1].get<u64>(0), u64{one} << 32 | one);
  EXPECT_EQ(runner.state().xmm[1].get<u64>(1), u64{two} << 32 | two);
  EXPECT_EQ(upper(0) | upper(1), 0u);
}

TEST_F(VexFloat, QuietPredicatesSignalForSignalingNansOnly) {
  for (const u8 predicate : {0, 3, 4, 7, 8, 0xb, 0xc, 0xf, 0x11, 0x12, 0x15, 0x16, 0x19, 0x1a, 0x1d, 0x1e}) {
    EXPECT_EQ(compare(quiet, predicate), 0u) << int{predicate};
    EXPECT_EQ(compare(signaling, predicate), mxcsr::IE) << int{predicate};
  }
}

TEST_F(VexFloat, SignalingPredicatesSignalForAnyNan) {
  for (const u8 predicate : {1, 2, 5, 6, 9, 0xa, 0xd, 0xe, 0x10, 0x13, 0x14, 0x17, 0x18, 0x1b, 0x1c, 0x1f})
    EXPECT_EQ(compare(quiet, predicate), mxcsr::IE) << int{predicate};
}

/// SDM vol. 2, table 3-1: unordered (elements 1 to 3 here), equal (element 0).
TEST_F(VexFloat, PredicatesHoldAsTheTableSays) {
  constexpr u32 when_unordered = 0x87788778, when_equal = 0xa5a5a5a5;
  for (u8 predicate = 0; predicate < 32; ++predicate) {
    compare(quiet, predicate);
    EXPECT_EQ(result(0), ((when_equal >> predicate) & 1) != 0 ? ~0u : 0u) << int{predicate};
    EXPECT_EQ(result(1), ((when_unordered >> predicate) & 1) != 0 ? ~0u : 0u) << int{predicate};
  }
}

TEST_F(VexFloat, DenormalHalfUnderflowsOnlyWhenUnmasked) {
  fill(2, 0x33800000, one);  // 2^-24, the smallest half
  EXPECT_TRUE(runner.run(vcvtps2ph_store));
  EXPECT_EQ(runner.get<u64>(data_page), 0x3c003c003c000001u);
  EXPECT_EQ(flags(), 0u);
  unmask(mxcsr::UE);
  runner.put(data_page, old_bits);
  EXPECT_FALSE(runner.run(vcvtps2ph_store));
  EXPECT_EQ(runner.get<u64>(data_page), old_bits);
  EXPECT_EQ(flags(), mxcsr::UE);
}

TEST_F(VexFloat, StoreOfHalvesThatFaultsHasRaisedNothing) {
  unmask(mxcsr::IE);
  fill(2, signaling, 0x3f800001);
  runner.state().gpr[RSI] = unmapped_page;
  EXPECT_FALSE(runner.run(vcvtps2ph_store));
  EXPECT_TRUE(runner.core.raised(Vector::PF));
  EXPECT_EQ(flags(), 0u);
}

}  // namespace
}  // namespace bunshin::sse_test
