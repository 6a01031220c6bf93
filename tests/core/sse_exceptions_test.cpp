// Unmasked SIMD floating-point exceptions and alignment faults (SDM vol. 1, 11.5; vol. 3, table 6-1).

#include "sse_runner.h"

namespace bunshin::sse_test {
namespace {

constexpr u32 one = 0x3f800000, largest = 0x7f7fffff, smallest_normal = 0x00800000, half = 0x3f000000,
              signaling = 0x7f800001;
constexpr std::initializer_list<u8> divps{0x0f, 0x5e, 0xca}, mulps{0x0f, 0x59, 0xca}, addss{0xf3, 0x0f, 0x58, 0xca},
    mulss{0xf3, 0x0f, 0x59, 0xca}, cvtss2si_ecx{0xf3, 0x0f, 0x2d, 0xca}, comiss{0x0f, 0x2f, 0xca},
    movaps_load{0x0f, 0x28, 0x0e}, movaps_store{0x0f, 0x29, 0x0e}, movups_load{0x0f, 0x10, 0x0e},
    paddb_load{0x66, 0x0f, 0xfc, 0x0e}, pcmpistri_load{0x66, 0x0f, 0x3a, 0x63, 0x0e, 0x0c},
    addss_load{0xf3, 0x0f, 0x58, 0x0e};

class SseExceptions : public testing::Test {
 protected:
  void unmask(u32 flags) { runner.state().mxcsr = mxcsr::initial & ~(flags << mxcsr::masks_shift); }
  void operands(std::array<u32, 4> d, std::array<u32, 4> s) {
    for (unsigned i = 0; i < 4; ++i) {
      runner.state().xmm[1].set(i, d[i]);
      runner.state().xmm[2].set(i, s[i]);
    }
  }
  u32 result(unsigned i) { return runner.state().xmm[1].get<u32>(i); }
  u32 flags() { return runner.state().mxcsr & mxcsr::flags; }
  bool raised(Vector v) { return runner.core.raised(v); }

  Runner runner;
};

TEST_F(SseExceptions, MaskedDivisionByZeroGivesInfinityAndTheFlag) {
  operands({one, one, one, one}, {0, one, one, one});
  EXPECT_TRUE(runner.run(divps));
  EXPECT_EQ(result(0), 0x7f800000u);
  EXPECT_EQ(flags(), mxcsr::ZE);
}

TEST_F(SseExceptions, UnmaskedDivisionByZeroLeavesTheDestinationAndSetsTheFlag) {
  unmask(mxcsr::ZE);
  operands({one, one, one, one}, {0, one, one, one});
  EXPECT_FALSE(runner.run(divps));
  EXPECT_TRUE(raised(Vector::XM));
  EXPECT_EQ(result(0), one);
  EXPECT_EQ(flags(), mxcsr::ZE);
}

TEST_F(SseExceptions, WithoutOsxmmexcptItIsUndefined) {
  unmask(mxcsr::ZE);
  runner.state().cr4 &= ~cr4::OSXMMEXCPT;
  operands({one, one, one, one}, {0, one, one, one});
  EXPECT_FALSE(runner.run(divps));
  EXPECT_TRUE(raised(Vector::UD));
}

TEST_F(SseExceptions, AnotherUnmaskedExceptionDoesNotMatter) {
  unmask(mxcsr::OE);
  operands({one, one, one, one}, {0, one, one, one});
  EXPECT_TRUE(runner.run(divps));
  EXPECT_EQ(flags(), mxcsr::ZE);
}

TEST_F(SseExceptions, StickyFlagsOfEarlierInstructionsDoNotFault) {
  unmask(mxcsr::PE);
  runner.state().mxcsr |= mxcsr::PE;
  operands({one, one, one, one}, {one, one, one, one});
  EXPECT_TRUE(runner.run(mulps));
}

TEST_F(SseExceptions, AnExceptionBeforeComputingHidesThoseAfterIt) {
  unmask(mxcsr::IE);
  operands({signaling, largest, one, one}, {one, largest, one, one});
  EXPECT_FALSE(runner.run(mulps));
  EXPECT_EQ(flags(), mxcsr::IE);
}

TEST_F(SseExceptions, ExactDenormalResultUnderflowsOnlyWhenUnmasked) {
  operands({smallest_normal, 0, 0, 0}, {half, 0, 0, 0});
  EXPECT_TRUE(runner.run(mulss));
  EXPECT_EQ(flags(), 0u);
  unmask(mxcsr::UE);
  operands({smallest_normal, 0, 0, 0}, {half, 0, 0, 0});
  EXPECT_FALSE(runner.run(mulss));
  EXPECT_TRUE(raised(Vector::XM));
  EXPECT_EQ(flags(), mxcsr::UE);
  EXPECT_EQ(result(0), smallest_normal);
}

TEST_F(SseExceptions, ConversionToGeneralRegisterIsSuppressed) {
  unmask(mxcsr::IE);
  runner.state().gpr[RCX] = 7;
  operands({0, 0, 0, 0}, {largest, 0, 0, 0});
  EXPECT_FALSE(runner.run(cvtss2si_ecx));
  EXPECT_EQ(runner.state().gpr[RCX], 7u);
}

TEST_F(SseExceptions, ComparisonKeepsRflags) {
  unmask(mxcsr::IE);
  runner.state().flags.set_status(rflags::OF);
  operands({signaling, 0, 0, 0}, {one, 0, 0, 0});
  EXPECT_FALSE(runner.run(comiss));
  EXPECT_EQ(runner.state().flags.status(), rflags::OF);
}

TEST_F(SseExceptions, ScalarsIgnoreTheUpperElements) {
  unmask(mxcsr::IE);
  operands({one, signaling, signaling, signaling}, {one, signaling, signaling, signaling});
  EXPECT_TRUE(runner.run(addss));
}

TEST_F(SseExceptions, HostEnvironmentIsRestored) {
  const u32 before = _mm_getcsr();
  runner.state().mxcsr = mxcsr::initial | mxcsr::RC | mxcsr::FTZ;
  operands({one, one, one, one}, {0, one, one, one});
  EXPECT_TRUE(runner.run(divps));
  EXPECT_EQ(_mm_getcsr(), before);
}

TEST_F(SseExceptions, MisalignedLoadIsAGeneralProtectionFault) {
  runner.state().gpr[RSI] = data_page + 8;
  for (const auto& code : {movaps_load, paddb_load}) {
    EXPECT_FALSE(runner.run(code));
    EXPECT_TRUE(raised(Vector::GP));
  }
}

TEST_F(SseExceptions, MisalignedStoreIsAGeneralProtectionFault) {
  runner.state().gpr[RSI] = data_page + 8;
  EXPECT_FALSE(runner.run(movaps_store));
  EXPECT_TRUE(raised(Vector::GP));
}

TEST_F(SseExceptions, SomeInstructionsTakeAnyAlignment) {
  runner.state().gpr[RSI] = data_page + 0xffd;  // crosses into the next page
  for (const auto& code : {movups_load, pcmpistri_load, addss_load}) EXPECT_TRUE(runner.run(code));
}

TEST_F(SseExceptions, PageFaultLeavesTheDestination) {
  operands({1, 2, 3, 4}, {});
  runner.state().gpr[RSI] = unmapped_page;
  EXPECT_FALSE(runner.run(movaps_load));
  EXPECT_TRUE(raised(Vector::PF));
  EXPECT_EQ(runner.core.cpu.fault.linear, unmapped_page);
  EXPECT_EQ(result(0), 1u);
}

TEST_F(SseExceptions, ClearedOsfxsrMakesSseUndefined) {
  runner.state().cr4 &= ~cr4::OSFXSR;
  runner.core.cpu.update_mode();
  EXPECT_FALSE(runner.run(addss));
  EXPECT_TRUE(raised(Vector::UD));
}

TEST_F(SseExceptions, TaskSwitchedMakesSseUnavailable) {
  runner.state().cr0 |= cr0::TS;
  runner.core.cpu.update_mode();
  EXPECT_FALSE(runner.run(addss));
  EXPECT_TRUE(raised(Vector::NM));
}

}  // namespace
}  // namespace bunshin::sse_test
