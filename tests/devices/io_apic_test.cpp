#include <gtest/gtest.h>

#include "tests/devices/apic_system.h"

namespace bunshin {
namespace {

constexpr u32 level = 1 << 15, masked = 1 << 16, remote_irr = 1 << 14, logical = 1 << 11;

class IoApicTest : public ::testing::Test, protected test::ApicSystem {
 protected:
  IoApicTest() { enable_all(); }
  void eoi(unsigned index = 0) { put(LocalApic::eoi_register, 0, index); }
  bool tmr(u8 vector) { return (get(LocalApic::tmr_register + vector / 32u * 16) >> (vector % 32) & 1) != 0; }
};

TEST_F(IoApicTest, VersionIsReadOnly) {
  io_put(1, 0xffffffff);
  EXPECT_EQ(io_get(1), 0x00170020u);
}

TEST_F(IoApicTest, IdHasFourBitsAndSetsArbitration) {
  io_put(0, 0xffffffff);
  EXPECT_EQ(io_get(0), 0x0f000000u);
  io_put(2, 0);
  EXPECT_EQ(io_get(2), 0x0f000000u);
}

TEST_F(IoApicTest, EntriesAreMaskedAtResetAndIndicesBeyondThemReadZero) {
  EXPECT_EQ(io_get(0x10), masked);
  EXPECT_EQ(io_get(0x3f), 0u);
  for (unsigned index = 0x40; index < 0x100; ++index) {
    io_put(index, 0xffffffff);
    EXPECT_EQ(io_get(index), 0u);
  }
}

TEST_F(IoApicTest, EdgeInterruptsOncePerRise) {
  entry(14, 0x76);
  io_apic.set_input(14, true);
  EXPECT_EQ(apic().acknowledge(), 0x76);
  EXPECT_FALSE(tmr(0x76));
  eoi();
  EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(IoApicTest, LevelRepeatsUntilTheLineFalls) {
  entry(14, 0x9a | level);
  io_apic.set_input(14, true);
  EXPECT_EQ(apic().acknowledge(), 0x9a);
  EXPECT_TRUE(tmr(0x9a));
  EXPECT_EQ(io_get(0x10 + 28), 0x9a | level | remote_irr);
  eoi();
  EXPECT_EQ(apic().acknowledge(), 0x9a);
  io_apic.set_input(14, false);
  eoi();
  EXPECT_FALSE(apic().interrupt_pending());
  EXPECT_EQ(io_get(0x10 + 28), 0x9a | level);
}

TEST_F(IoApicTest, LevelCoalescesWhileInService) {
  entry(14, 0x98 | level);
  io_apic.set_input(14, true);
  apic().acknowledge();
  io_apic.set_input(14, false);
  io_apic.set_input(14, true);
  io_apic.set_input(14, false);
  eoi();
  EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(IoApicTest, MaskedEdgeIsLost) {
  entry(14, 0x81 | masked);
  io_apic.set_input(14, true);
  io_apic.set_input(14, false);
  entry(14, 0x81);
  EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(IoApicTest, MaskedLevelComesWhenUnmasked) {
  entry(14, 0x82 | level | masked);
  io_apic.set_input(14, true);
  EXPECT_FALSE(apic().interrupt_pending());
  entry(14, 0x82 | level);
  EXPECT_TRUE(requested(0x82));
}

TEST_F(IoApicTest, MaskedInServiceRepeatsAfterUnmasking) {
  entry(14, 0x83 | level);
  io_apic.set_input(14, true);
  apic().acknowledge();
  entry(14, 0x83 | level | masked);
  eoi();
  EXPECT_FALSE(apic().interrupt_pending());
  entry(14, 0x83 | level);
  EXPECT_TRUE(apic().interrupt_pending());
}

TEST_F(IoApicTest, ReconfiguredWhilePendingStillEnds) {
  entry(14, 0x84 | level, 0);
  io_apic.set_input(14, true);
  apic().acknowledge();
  io_apic.set_input(14, false);
  io_put(0x11 + 28, 1u << 24);
  eoi();
  EXPECT_EQ(io_get(0x10 + 28) & remote_irr, 0u);
}

TEST_F(IoApicTest, TurningAnEntryIntoAnEdgeClearsRemoteIrr) {
  entry(14, 0x84 | level);
  io_apic.set_input(14, true);
  entry(14, 0x84 | masked);
  EXPECT_EQ(io_get(0x10 + 28) & remote_irr, 0u);
}

TEST_F(IoApicTest, EoiRegisterEndsAnInterruptDirectly) {
  entry(14, 0x85 | level);
  io_apic.set_input(14, true);
  io_apic.set_input(14, false);
  io_apic.write(0, 0x40, 4, 0x85);
  EXPECT_EQ(io_get(0x10 + 28) & remote_irr, 0u);
}

TEST_F(IoApicTest, SuppressedBroadcastLeavesRemoteIrr) {
  put(LocalApic::svr_register, 0x11ff);
  entry(14, 0x85 | level);
  io_apic.set_input(14, true);
  apic().acknowledge();
  eoi();
  EXPECT_NE(io_get(0x10 + 28) & remote_irr, 0u);
}

TEST_F(IoApicTest, LogicalDestinationReachesX2ApicsOfClusterZero) {
  for (unsigned i = 0; i < test::processors; ++i) enable_x2apic(i);
  io_put(0x11 + 28, 0x0du << 24);
  io_put(0x10 + 28, 0x86 | level | logical);
  io_apic.set_input(14, true);
  EXPECT_EQ(who_has(0x86), 0xdu);
}

TEST_F(IoApicTest, NmiModeReachesThePin) {
  entry(2, 0x400, 1);
  io_apic.set_input(2, true);
  EXPECT_EQ(pins[1].nmis, 1u);
}

TEST_F(IoApicTest, ExtIntTakesTheVectorFromThePic) {
  pic.write(0, 0, 1, 0x11);
  for (const u8 icw : {0x20, 0x04, 0x01}) pic.write(0, 1, 1, icw);
  entry(0, 0x700 | masked);
  pic.set_input(1, true);
  io_apic.set_input(0, pic.output());
  entry(0, 0x700);
  EXPECT_TRUE(apic().interrupt_pending());
  EXPECT_EQ(apic().acknowledge(), 0x21);
  EXPECT_FALSE(apic().interrupt_pending());
}

}  // namespace
}  // namespace bunshin
