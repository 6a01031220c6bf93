// Masked moves and gathers: which elements of memory they touch, and what is left when one of them faults (SDM vol. 2,
// VMASKMOV, VPGATHERDD, MASKMOVDQU).

#include "tests/core/sse_runner.h"

namespace bunshin::sse_test {
namespace {

using Bytes = std::vector<u8>;

const Bytes gather{0xc4, 0xe2, 0x69, 0x90, 0x04, 0x8e};     // vpgatherdd xmm0, [rsi + xmm1*4], xmm2
const Bytes gather256{0xc4, 0xe2, 0x6d, 0x90, 0x04, 0x8e};  // vpgatherdd ymm0, [rsi + ymm1*4], ymm2
const Bytes gather_qd{0xc4, 0xe2, 0x69, 0x91, 0x04, 0x8e};  // vpgatherqd xmm0, [rsi + xmm1*4], xmm2
const Bytes masked_load{0xc4, 0xe2, 0x6d, 0x8c, 0x06};      // vpmaskmovd ymm0, ymm2, [rsi]
const Bytes masked_store{0xc4, 0xe2, 0x6d, 0x8e, 0x06};     // vpmaskmovd [rsi], ymm2, ymm0
const Bytes byte_store{0xc5, 0xf9, 0xf7, 0xc2};             // vmaskmovdqu xmm0, xmm2
const Bytes plain_load{0xc5, 0xfe, 0x6f, 0x06};             // vmovdqu ymm0, [rsi]

/// The first byte behind the mapped data.
constexpr u64 edge = data_page + 16 * page_size;
constexpr u32 wanted = 0x80000000, old = 0x11111111;

class VexMasked : public testing::Test {
 protected:
  VexMasked() {
    runner.enable_avx();
    for (unsigned i = 0; i < 8; ++i) {
      set(0, i, old + i);
      set(1, i, i);
      set(2, i, wanted);
    }
    for (unsigned i = 0; i < 64; ++i) runner.put<u32>(edge - 4 * (i + 1), memory_value(i));
    runner.state().gpr[RSI] = runner.state().gpr[RDI] = edge - 8;
  }
  /// What lies `i` elements before the last one.
  static u32 memory_value(unsigned i) { return 0xabc00000 + i; }
  Xmm& lane(unsigned reg, unsigned i) { return i < 4 ? runner.state().xmm[reg] : runner.state().ymm_high[reg]; }
  void set(unsigned reg, unsigned i, u32 value) { lane(reg, i).set<u32>(i % 4, value); }
  u32 get(unsigned reg, unsigned i) { return lane(reg, i).get<u32>(i % 4); }
  bool run(const Bytes& code) { return runner.run(std::span(code)); }
  bool faults(const Bytes& code, Vector vector) {
    return !run(code) && runner.core.cpu.leave == Leave::Fault && runner.core.cpu.fault.vector == vector;
  }
  /// CPL 3 with alignment checks.
  void check_alignment() {
    runner.state().cpl = 3;
    runner.state().cr0 |= cr0::AM;
    runner.state().flags.system |= rflags::AC;
    runner.core.cpu.update_mode();
  }

  Runner runner;
};

TEST_F(VexMasked, AGatherKeepsWhatIsDoneWhenAnElementFaults) {
  ASSERT_TRUE(faults(gather, Vector::PF));
  EXPECT_EQ(get(0, 0), memory_value(1));
  EXPECT_EQ(get(0, 1), memory_value(0));
  EXPECT_EQ(get(0, 2), old + 2);
  EXPECT_EQ(get(2, 0), 0u);
  EXPECT_EQ(get(2, 1), 0u);
  EXPECT_EQ(get(2, 2), wanted);
}

TEST_F(VexMasked, AGatherGoesOnBehindTheElementsThatAreDone) {
  ASSERT_TRUE(faults(gather, Vector::PF));
  runner.put<u32>(edge - 8, 0xdddddddd);
  set(1, 2, 0);
  set(1, 3, 1);
  ASSERT_TRUE(run(gather));
  EXPECT_EQ(get(0, 0), memory_value(1));
  EXPECT_EQ(get(0, 2), 0xdddddddd);
  EXPECT_EQ(get(0, 3), memory_value(0));
}

TEST_F(VexMasked, ACompleteGatherClearsItsMaskAndWhatLiesAbove) {
  runner.state().gpr[RSI] = edge - 16;
  set(2, 1, 0x7fffffff);
  ASSERT_TRUE(run(gather));
  EXPECT_EQ(get(0, 0), memory_value(3));
  EXPECT_EQ(get(0, 1), old + 1);
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(get(2, i), 0u) << i;
  for (unsigned i = 4; i < 8; ++i) EXPECT_EQ(get(0, i), 0u) << i;
}

TEST_F(VexMasked, NarrowDataOfWideIndicesLeaveTheRestOfTheRegisterZero) {
  set(1, 1, 0);
  set(1, 2, 0xffffffff);
  set(1, 3, 0xffffffff);
  ASSERT_TRUE(run(gather_qd));
  EXPECT_EQ(get(0, 0), memory_value(1));
  EXPECT_EQ(get(0, 1), memory_value(2));
  for (unsigned i = 2; i < 8; ++i) EXPECT_EQ(get(0, i), 0u) << i;
}

TEST_F(VexMasked, IndicesAreSigned) {
  for (unsigned i = 0; i < 8; ++i) set(1, i, u32{0} - i);
  ASSERT_TRUE(run(gather256));
  for (unsigned i = 0; i < 8; ++i) EXPECT_EQ(get(0, i), memory_value(1 + i)) << i;
}

TEST_F(VexMasked, AGatherWithoutAnythingSelectedTouchesNoMemory) {
  runner.state().gpr[RSI] = unmapped_page;
  for (unsigned i = 0; i < 8; ++i) set(2, i, 1);
  EXPECT_TRUE(run(gather256));
  EXPECT_EQ(get(0, 7), old + 7);
}

TEST_F(VexMasked, RegistersOfAGatherMustDiffer) {
  EXPECT_TRUE(faults({0xc4, 0xe2, 0x69, 0x90, 0x14, 0x8e}, Vector::UD));  // destination and mask
  EXPECT_TRUE(faults({0xc4, 0xe2, 0x69, 0x90, 0x0c, 0x8e}, Vector::UD));  // destination and index
  EXPECT_TRUE(faults({0xc4, 0xe2, 0x69, 0x90, 0x04, 0x96}, Vector::UD));  // mask and index
}

TEST_F(VexMasked, ElementsThatAreNotSelectedCannotFault) {
  for (unsigned i = 2; i < 8; ++i) set(2, i, 0x7fffffff);
  ASSERT_TRUE(run(masked_load));
  EXPECT_EQ(get(0, 0), memory_value(1));
  EXPECT_EQ(get(0, 1), memory_value(0));
  for (unsigned i = 2; i < 8; ++i) EXPECT_EQ(get(0, i), 0u) << i;
}

TEST_F(VexMasked, AMaskedLoadThatFaultsLeavesItsDestination) {
  ASSERT_TRUE(faults(masked_load, Vector::PF));
  EXPECT_EQ(get(0, 0), old);
}

TEST_F(VexMasked, AMaskedStoreWritesWhatIsSelected) {
  for (unsigned i = 1; i < 8; ++i) set(2, i, 0);
  ASSERT_TRUE(run(masked_store));
  EXPECT_EQ(runner.get<u32>(edge - 8), old);
  EXPECT_EQ(runner.get<u32>(edge - 4), memory_value(0));
}

TEST_F(VexMasked, AStoreThatFaultsWritesNothing) {
  for (const Bytes& store : {masked_store, byte_store}) {
    ASSERT_TRUE(faults(store, Vector::PF));
    EXPECT_EQ(runner.get<u32>(edge - 8), memory_value(1));
  }
}

TEST_F(VexMasked, AlignmentIsNotChecked) {
  check_alignment();
  runner.state().gpr[RSI] = edge - 0x41;
  ASSERT_TRUE(faults(plain_load, Vector::AC));
  for (const Bytes& code : {masked_load, masked_store, gather256}) EXPECT_TRUE(run(code));
}

TEST_F(VexMasked, WithAlignmentChecksOnTheSameElementsAreMoved) {
  check_alignment();
  runner.state().gpr[RSI] = edge - 32;
  set(2, 1, 0);
  ASSERT_TRUE(run(masked_load));
  EXPECT_EQ(get(0, 0), memory_value(7));
  EXPECT_EQ(get(0, 1), 0u);
  EXPECT_EQ(get(0, 7), memory_value(0));
  for (unsigned i = 0; i < 8; ++i) set(0, i, old + i);
  ASSERT_TRUE(run(masked_store));
  EXPECT_EQ(runner.get<u32>(edge - 32), old);
  EXPECT_EQ(runner.get<u32>(edge - 28), memory_value(6));
  EXPECT_EQ(runner.get<u32>(edge - 4), old + 7);
}

}  // namespace
}  // namespace bunshin::sse_test
