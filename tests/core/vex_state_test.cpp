// The upper halves of the YMM registers under XSAVE and its kin (SDM vol. 1, ch. 13).

#include "core/sse/xsave.h"
#include "core/system/cpuid.h"
#include "tests/core/sse_runner.h"

namespace bunshin::sse_test {
namespace {

constexpr std::initializer_list<u8> xsave{0x0f, 0xae, 0x26}, xrstor{0x0f, 0xae, 0x2e}, xsaveopt{0x0f, 0xae, 0x36},
    xsavec{0x0f, 0xc7, 0x26}, xgetbv{0x0f, 0x01, 0xd0}, xsetbv{0x0f, 0x01, 0xd1};

class YmmState : public testing::Test {
 protected:
  YmmState() {
    runner.enable_avx();
    runner.state().gpr[RSI] = data_page;
    runner.put<u32>(data_page + 24, mxcsr::initial);
    fill();
  }
  void fill() {
    for (unsigned i = 0; i < 16; ++i) {
      runner.state().xmm[i].set<u64>(0, 0x1000 + i);
      runner.state().ymm_high[i].set<u64>(0, 0x2000 + i);
    }
  }
  void request(u64 components) {
    runner.state().gpr[RAX] = components;
    runner.state().gpr[RDX] = 0;
  }
  template <class T>
  T at(u64 offset) {
    return runner.get<T>(data_page + offset);
  }
  u64 high(unsigned i) { return runner.state().ymm_high[i].get<u64>(0); }
  bool sets_xcr0(u64 value) {
    runner.state().gpr[RCX] = 0;
    request(value);
    return runner.run(xsetbv);
  }
  CpuidResult leaf(u32 number, u32 subleaf) { return cpuid_leaf(runner.core.cpu, number, subleaf); }

  Runner runner;
};

TEST_F(YmmState, XsavePutsUpperHalvesAt576) {
  request(7);
  ASSERT_TRUE(runner.run(xsave));
  EXPECT_EQ(at<u64>(512), 7u);
  EXPECT_EQ(at<u64>(576), 0x2000u);
  EXPECT_EQ(at<u64>(576 + 15 * 16), 0x200fu);
}

TEST_F(YmmState, XrstorBringsBackBothHalves) {
  for (const auto& save : {xsave, xsavec, xsaveopt}) {
    fill();
    runner.put<u64>(data_page + 520, 0);
    request(7);
    ASSERT_TRUE(runner.run(save));
    runner.state().ymm_high = {};
    ASSERT_TRUE(runner.run(xrstor));
    EXPECT_EQ(high(9), 0x2009u);
  }
}

TEST_F(YmmState, AComponentNotRequestedIsLeftAlone) {
  request(7);
  ASSERT_TRUE(runner.run(xsave));
  runner.state().ymm_high[3].set<u64>(0, 77);
  request(3);
  ASSERT_TRUE(runner.run(xrstor));
  EXPECT_EQ(high(3), 77u);
}

TEST_F(YmmState, AnInitialComponentIsNotWrittenAndComesBackZero) {
  runner.state().ymm_high = {};
  runner.put<u64>(data_page + 576, 0x5a5a);
  request(7);
  ASSERT_TRUE(runner.run(xsaveopt));
  EXPECT_EQ(at<u64>(512), 3u);
  EXPECT_EQ(at<u64>(576), 0x5a5au);
  fill();
  ASSERT_TRUE(runner.run(xrstor));
  EXPECT_EQ(high(5), 0u);
}

TEST_F(YmmState, CompactionPutsPkruBehindThem) {
  runner.state().xcr0 = 0x207;
  runner.state().pkru = 0xc;
  request(0x207);
  ASSERT_TRUE(runner.run(xsavec));
  EXPECT_EQ(at<u64>(520), u64{1} << 63 | 0x207);
  EXPECT_EQ(at<u64>(576), 0x2000u);
  EXPECT_EQ(at<u32>(832), 0xcu);
  request(0x203);
  ASSERT_TRUE(runner.run(xsavec));
  EXPECT_EQ(at<u32>(576), 0xcu) << "nothing between it and the header";
}

TEST_F(YmmState, XgetbvTellsWhetherTheyAreInUse) {
  runner.state().gpr[RCX] = 1;
  ASSERT_TRUE(runner.run(xgetbv));
  EXPECT_EQ(runner.state().gpr[RAX], 7u);
  runner.state().ymm_high = {};
  ASSERT_TRUE(runner.run(xgetbv));
  EXPECT_EQ(runner.state().gpr[RAX], 3u);
}

TEST_F(YmmState, XsetbvWantsSseWithAvx) {
  EXPECT_TRUE(sets_xcr0(7));
  EXPECT_TRUE(sets_xcr0(1));
  EXPECT_FALSE(sets_xcr0(5));
  EXPECT_FALSE(sets_xcr0(6));
  EXPECT_FALSE(sets_xcr0(0xe7)) << "AVX-512 is not there";
}

TEST_F(YmmState, CpuidTellsSizesAndOffsets) {
  EXPECT_EQ(leaf(0xd, 0).eax, 0x207u);
  EXPECT_EQ(leaf(0xd, 0).ebx, 832u) << "for XCR0 as it is";
  EXPECT_EQ(leaf(0xd, 0).ecx, 2696u) << "for all components";
  EXPECT_EQ(leaf(0xd, 1).ebx, 832u);
  EXPECT_EQ(leaf(0xd, 2).eax, 256u);
  EXPECT_EQ(leaf(0xd, 2).ebx, 576u);
  EXPECT_EQ(leaf(0xd, 2).ecx, 0u);
}

TEST(YmmProfile, WithoutAvxThereIsNoSuchComponent) {
  CpuProfile profile = resolved_profile();
  profile.features.reset(static_cast<unsigned>(Feature::Avx));
  EXPECT_EQ(xcr0_supported(profile) & xcr0::AVX, 0u);
  EXPECT_FALSE(xcr0_is_valid(profile, 7));
}

}  // namespace
}  // namespace bunshin::sse_test
