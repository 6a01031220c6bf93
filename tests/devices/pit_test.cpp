#include <gtest/gtest.h>

#include "devices/pit.h"
#include "tests/devices/chip_host.h"

namespace bunshin {
namespace {

class PitTest : public ::testing::Test {
 protected:
  PitTest() { pit.reset(); }

  static SimTime at_tick(u64 tick) { return Clock{Pit::hertz}.at(tick); }
  void program(unsigned channel, u8 mode, u16 count, bool bcd = false) {
    pit.write(0, 3, 1, channel << 6 | 0x30u | mode << 1 | (bcd ? 1u : 0u));
    pit.write(0, channel, 1, count & 0xff);
    pit.write(0, channel, 1, count >> 8);
  }
  unsigned latched(unsigned channel) {
    pit.write(0, 3, 1, channel << 6);
    const unsigned low = static_cast<unsigned>(pit.read(0, channel, 1));
    return low | static_cast<unsigned>(pit.read(0, channel, 1)) << 8;
  }
  u8 status(unsigned channel) {
    pit.write(0, 3, 1, 0xe0 | 2u << channel);
    return static_cast<u8>(pit.read(0, channel, 1));
  }
  void run_to_tick(u64 tick) { host.run_until(pit, at_tick(tick)); }
  bool out2() { return (pit.read(1, 0, 1) & 0x20) != 0; }

  test::ChipHost host;
  Pit pit{host};
};

TEST_F(PitTest, Mode2InterruptsOncePerPeriodWithoutDrift) {
  program(0, 2, 11'932);
  host.rises.clear();
  run_to_tick(1 + 11'932ull * 1000);
  EXPECT_EQ(host.rises[0], 1000u);
  EXPECT_EQ(host.edges.back().at, at_tick(1 + 11'932ull * 1000));
}

TEST_F(PitTest, Mode2OutputIsLowForOneTick) {
  program(0, 2, 100);
  run_to_tick(99);
  EXPECT_TRUE(host.pins[0]);
  run_to_tick(100);
  EXPECT_FALSE(host.pins[0]);
  run_to_tick(101);
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(PitTest, Mode3IsASquareWave) {
  program(0, 3, 101);
  run_to_tick(51);
  EXPECT_TRUE(host.pins[0]);
  run_to_tick(52);
  EXPECT_FALSE(host.pins[0]);
  run_to_tick(101);
  EXPECT_FALSE(host.pins[0]);
  run_to_tick(102);
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(PitTest, Mode3CountsByTwo) {
  program(0, 3, 1000);
  run_to_tick(11);
  EXPECT_EQ(latched(0), 980u);
  run_to_tick(511);
  EXPECT_EQ(latched(0), 980u);
}

TEST_F(PitTest, Mode0GoesHighCountPlusOneTicksAfterTheWrite) {
  program(0, 0, 50);
  EXPECT_FALSE(host.pins[0]);
  run_to_tick(50);
  EXPECT_FALSE(host.pins[0]);
  run_to_tick(51);
  EXPECT_TRUE(host.pins[0]);
  run_to_tick(100'000);
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(PitTest, Mode0CountWrapsAfterTheTerminalCount) {
  program(0, 0, 50);
  run_to_tick(1 + 50 + 3);
  EXPECT_EQ(latched(0), 0xfffdu);
}

TEST_F(PitTest, Channel2CountsWhileItsGateIsHigh) {
  pit.write(1, 0, 1, 0);
  program(2, 0, 1000);
  run_to_tick(500);
  EXPECT_EQ(latched(2), 1000u);
  pit.write(1, 0, 1, 1);
  run_to_tick(600);
  EXPECT_EQ(latched(2), 900u);
  pit.write(1, 0, 1, 0);
  run_to_tick(700);
  EXPECT_EQ(latched(2), 900u);
  pit.write(1, 0, 1, 1);
  run_to_tick(1599);
  EXPECT_FALSE(out2());
  run_to_tick(1600);
  EXPECT_TRUE(out2());
}

TEST_F(PitTest, Mode1OneShotStartsAtTheGate) {
  pit.write(1, 0, 1, 0);
  program(2, 1, 100);
  EXPECT_TRUE(out2());
  pit.write(1, 0, 1, 1);
  run_to_tick(100);
  EXPECT_FALSE(out2());
  run_to_tick(101);
  EXPECT_TRUE(out2());
}

TEST_F(PitTest, Mode4StrobesForOneTick) {
  program(0, 4, 10);
  EXPECT_TRUE(host.pins[0]);
  run_to_tick(11);
  EXPECT_FALSE(host.pins[0]);
  run_to_tick(12);
  EXPECT_TRUE(host.pins[0]);
  run_to_tick(100'000);
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(PitTest, Mode5StrobesAfterTheGate) {
  pit.write(1, 0, 1, 0);
  program(2, 5, 10);
  run_to_tick(100);
  EXPECT_TRUE(out2());
  pit.write(1, 0, 1, 1);
  run_to_tick(111);
  EXPECT_FALSE(out2());
  run_to_tick(112);
  EXPECT_TRUE(out2());
}

TEST_F(PitTest, NewCountInMode2WaitsForThePeriodsEnd) {
  program(0, 2, 1000);
  run_to_tick(500);
  pit.write(0, 0, 1, 200);
  pit.write(0, 0, 1, 0);
  host.edges.clear();
  run_to_tick(1001);
  EXPECT_EQ(host.edges.at(1).at, at_tick(1001));
  run_to_tick(1201);
  EXPECT_EQ(host.edges.back().at, at_tick(1201));
}

TEST_F(PitTest, LatchHoldsUntilRead) {
  program(0, 2, 1000);
  run_to_tick(101);
  pit.write(0, 3, 1, 0x00);
  run_to_tick(201);
  const unsigned low = static_cast<unsigned>(pit.read(0, 0, 1));
  EXPECT_EQ(low | static_cast<unsigned>(pit.read(0, 0, 1)) << 8, 900u);
  EXPECT_EQ(latched(0), 800u);
}

TEST_F(PitTest, BcdCountsInDecimal) {
  program(0, 2, 0x1000, true);
  run_to_tick(2);
  EXPECT_EQ(latched(0), 0x0999u);
}

TEST_F(PitTest, StatusTellsModeAccessOutputAndNullCount) {
  program(0, 2, 1000);
  EXPECT_EQ(status(0), 0x80 | 0x40 | 0x30 | 2 << 1);
  run_to_tick(10);
  EXPECT_EQ(status(0), 0x80 | 0x30 | 2 << 1);
}

TEST_F(PitTest, RefreshToggleChangesWithTime) {
  const u64 before = pit.read(1, 0, 1) & 0x10;
  run_to_tick(18);
  EXPECT_NE(pit.read(1, 0, 1) & 0x10, before);
}

TEST_F(PitTest, HostileControlWordsAndCountsAreSurvived) {
  for (unsigned control = 0; control < 256; ++control) {
    pit.write(0, 3, 1, control);
    for (unsigned count : {0u, 1u, 2u, 0xffu}) {
      for (unsigned channel = 0; channel < 3; ++channel) pit.write(0, channel, 1, count);
      pit.write(1, 0, 1, count);
      host.run_for(pit, test::microseconds(20));
      for (unsigned channel = 0; channel < 4; ++channel) pit.read(0, channel, 1);
    }
  }
  SUCCEED();
}

}  // namespace
}  // namespace bunshin
