#include <gtest/gtest.h>

#include "devices/hpet.h"
#include "tests/devices/chip_host.h"

namespace bunshin {
namespace {

constexpr u64 level = 1 << 1, interrupt = 1 << 2, periodic = 1 << 3, value_set = 1 << 6, narrow = 1 << 8;
constexpr u64 timer(unsigned index) { return 0x100 + 0x20 * index; }
constexpr u64 routed_to(unsigned pin) { return u64{pin} << 9; }

class HpetTest : public ::testing::Test {
 protected:
  HpetTest() { hpet.reset(); }
  void enable(u64 bits = 1) { hpet.write(0, 0x10, 4, bits); }
  u64 counter() { return hpet.read(0, 0xf0, 8); }
  void run_ns(u64 ns) { host.run_for(hpet, SimTime::from_ns(ns)); }

  test::ChipHost host;
  Hpet hpet{host};
};

TEST_F(HpetTest, CapabilitiesTellThePeriod) {
  EXPECT_EQ(hpet.read(0, 4, 4), 10'000'000u);
  EXPECT_EQ(hpet.read(0, 0, 4), 0x8086a201u);
}

TEST_F(HpetTest, CountsOnlyWhileEnabled) {
  run_ns(1000);
  EXPECT_EQ(counter(), 0u);
  enable();
  run_ns(1000);
  EXPECT_EQ(counter(), 100u);
  enable(0);
  run_ns(1000);
  EXPECT_EQ(counter(), 100u);
}

TEST_F(HpetTest, CounterIsReadAndWrittenInHalves) {
  hpet.write(0, 0xf0, 4, 0xfffffff0);
  hpet.write(0, 0xf4, 4, 7);
  EXPECT_EQ(counter(), 0x7'ffff'fff0u);
  enable();
  run_ns(200);
  EXPECT_EQ(hpet.read(0, 0xf4, 4), 8u);
  EXPECT_EQ(hpet.read(0, 0xf0, 4), 4u);
}

TEST_F(HpetTest, OneShotPulsesItsRoute) {
  hpet.write(0, timer(2), 4, interrupt | routed_to(20));
  hpet.write(0, timer(2) + 8, 8, 500);
  enable();
  run_ns(4999);
  EXPECT_EQ(host.rises[20], 0u);
  run_ns(1);
  EXPECT_EQ(host.rises[20], 1u);
  EXPECT_FALSE(host.pins[20]);
  run_ns(1'000'000);
  EXPECT_EQ(host.rises[20], 1u);
}

TEST_F(HpetTest, PeriodicTimerSetUpAsLinuxDoesDoesNotDrift) {
  enable(0);
  hpet.write(0, 0xf0, 4, 0);
  hpet.write(0, 0xf4, 4, 0);
  enable(3);
  hpet.write(0, timer(0), 4, interrupt | periodic | value_set | narrow);
  hpet.write(0, timer(0) + 8, 4, 1000);
  run_ns(1000);
  hpet.write(0, timer(0) + 8, 4, 1000);
  run_ns(9'999'000);
  EXPECT_EQ(host.rises[0], 1000u);
  EXPECT_EQ(host.edges.back().at, SimTime::from_ns(10'000'000));
}

TEST_F(HpetTest, LegacyReplacementDrivesLines0And8) {
  for (unsigned index = 0; index < 2; ++index) {
    hpet.write(0, timer(index), 4, interrupt);
    hpet.write(0, timer(index) + 8, 8, 10);
  }
  enable(3);
  EXPECT_TRUE(host.pins[Hpet::pin_legacy_replacement]);
  run_ns(100);
  EXPECT_EQ(host.rises[0], 1u);
  EXPECT_EQ(host.rises[8], 1u);
}

TEST_F(HpetTest, LevelInterruptStandsUntilItsStatusIsCleared) {
  hpet.write(0, timer(1), 4, interrupt | level | routed_to(17));
  hpet.write(0, timer(1) + 8, 8, 10);
  enable();
  run_ns(100);
  EXPECT_TRUE(host.pins[17]);
  EXPECT_EQ(hpet.read(0, 0x20, 4), 2u);
  hpet.write(0, 0x20, 4, 2);
  EXPECT_FALSE(host.pins[17]);
}

TEST_F(HpetTest, NarrowTimerMatchesTheLowHalf) {
  hpet.write(0, 0xf0, 8, 0x5'ffff'ff00);
  hpet.write(0, timer(0), 4, interrupt | narrow | routed_to(16));
  hpet.write(0, timer(0) + 8, 4, 0x10);
  enable();
  run_ns(10 * 0x10f);
  EXPECT_EQ(host.rises[16], 0u);
  run_ns(10);
  EXPECT_EQ(host.rises[16], 1u);
}

TEST_F(HpetTest, FsbDeliveryWritesItsMessage) {
  Hpet with_messages(host, Hpet::default_period_fs, true);
  with_messages.reset();
  with_messages.write(0, timer(0) + 16, 8, u64{0xfee01000} << 32 | 0x41);
  with_messages.write(0, timer(0), 4, interrupt | 1 << 14);
  with_messages.write(0, timer(0) + 8, 8, 10);
  with_messages.write(0, 0x10, 4, 1);
  host.run_for(with_messages, SimTime::from_ns(100));
  ASSERT_EQ(host.messages.size(), 1u);
  EXPECT_EQ(host.messages[0], (std::pair<u64, u32>{0xfee01000, 0x41}));
}

TEST_F(HpetTest, OffsetsOutsideTheTimersReadZeroAndIgnoreWrites) {
  for (u64 offset = timer(3); offset < 0x400; offset += 4) {
    hpet.write(0, offset, 4, 0xffffffff);
    EXPECT_EQ(hpet.read(0, offset, 4), 0u);
  }
}

}  // namespace
}  // namespace bunshin
