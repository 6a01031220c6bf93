#include <gtest/gtest.h>

#include "devices/rtc.h"
#include "tests/devices/chip_host.h"

namespace bunshin {
namespace {

constexpr u64 epoch = 1'709'251'199;  // 2024-02-29 23:59:59, a Thursday

class RtcTest : public ::testing::Test {
 protected:
  u8 get(u8 index) {
    rtc.write(0, 0, 1, index);
    return static_cast<u8>(rtc.read(0, 1, 1));
  }
  void put(u8 index, u8 value) {
    rtc.write(0, 0, 1, index);
    rtc.write(0, 1, 1, value);
  }

  test::ChipHost host;
  Rtc rtc{host, epoch};
};

TEST_F(RtcTest, ShowsTheEpochInBcd) {
  EXPECT_EQ(get(0), 0x59);
  EXPECT_EQ(get(2), 0x59);
  EXPECT_EQ(get(4), 0x23);
  EXPECT_EQ(get(6), 5);
  EXPECT_EQ(get(7), 0x29);
  EXPECT_EQ(get(8), 0x02);
  EXPECT_EQ(get(9), 0x24);
  EXPECT_EQ(get(0x32), 0x20);
}

TEST_F(RtcTest, LeapDayIsFollowedByMarch) {
  host.set_now(test::seconds(1));
  EXPECT_EQ(get(0), 0);
  EXPECT_EQ(get(4), 0);
  EXPECT_EQ(get(7), 1);
  EXPECT_EQ(get(8), 3);
}

TEST_F(RtcTest, BinaryTwelveHourFormat) {
  put(0x0b, 0x04);
  EXPECT_EQ(get(4), 0x80 | 11);
  EXPECT_EQ(get(2), 59);
}

TEST_F(RtcTest, UpdateInProgressPrecedesTheUpdate) {
  host.set_now(test::milliseconds(999));
  EXPECT_EQ(get(0x0a) & 0x80, 0);
  host.set_now(test::milliseconds(999) + test::microseconds(800));
  EXPECT_EQ(get(0x0a) & 0x80, 0x80);
  host.set_now(test::seconds(1));
  EXPECT_EQ(get(0x0a) & 0x80, 0);
}

TEST_F(RtcTest, SetStopsTheClockAndTakesTheNewTime) {
  put(0x0b, 0x82);
  put(9, 0x99);
  put(0x32, 0x19);
  put(8, 0x12);
  put(7, 0x31);
  put(4, 0x10);
  host.set_now(test::seconds(5));
  EXPECT_EQ(get(0), 0x59);
  put(0x0b, 0x02);
  EXPECT_EQ(get(9), 0x99);
  EXPECT_EQ(get(0), 0x59);
  host.set_now(test::seconds(6));
  EXPECT_EQ(get(0), 0x00);
  EXPECT_EQ(get(4), 0x11);
  EXPECT_EQ(get(6), 6);
}

TEST_F(RtcTest, PeriodicInterruptAt1024HzHoldsItsLineUntilRegisterCIsRead) {
  put(0x0a, 0x26);
  put(0x0b, 0x42);
  unsigned interrupts = 0;
  for (unsigned tick = 1; tick <= 1024; ++tick) {
    host.run_until(rtc, Clock{1024}.at(tick));
    interrupts += host.pins[0] ? 1 : 0;
    EXPECT_EQ(get(0x0c) & 0xc0, 0xc0);
    EXPECT_FALSE(host.pins[0]);
  }
  EXPECT_EQ(interrupts, 1024u);
}

TEST_F(RtcTest, UpdateEndedInterruptComesEachSecond) {
  put(1, 0x30);
  put(0x0b, 0x12);
  host.run_until(rtc, test::milliseconds(999));
  EXPECT_FALSE(host.pins[0]);
  host.run_until(rtc, test::seconds(1));
  EXPECT_TRUE(host.pins[0]);
  EXPECT_EQ(get(0x0c), 0x80 | 0x10 | 0x40);
}

TEST_F(RtcTest, AlarmInterruptComesAtItsTime) {
  put(1, 0x05);
  put(3, 0xff);
  put(5, 0xc0);
  put(0x0b, 0x22);
  host.run_until(rtc, test::milliseconds(5'999));
  EXPECT_FALSE(host.pins[0]);
  host.run_until(rtc, test::seconds(6));
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(RtcTest, AlarmFlagIsSetWithoutTheInterrupt) {
  put(1, 0x05);
  put(3, 0xff);
  put(5, 0xff);
  host.set_now(test::seconds(200'000));
  EXPECT_EQ(get(0x0c) & 0x20, 0x20);
}

TEST_F(RtcTest, RamIsThePlatformsAndTheGuests) {
  rtc.set_byte(0x34, 0x12);
  EXPECT_EQ(get(0x34), 0x12);
  put(0x7f, 0xa5);
  EXPECT_EQ(get(0x7f), 0xa5);
  EXPECT_EQ(get(0x0d), 0x80);
}

TEST_F(RtcTest, IndexPortMasksNmi) {
  rtc.write(0, 0, 1, 0x8f);
  EXPECT_TRUE(rtc.nmi_masked());
  rtc.write(0, 0, 1, 0x0f);
  EXPECT_FALSE(rtc.nmi_masked());
}

TEST_F(RtcTest, ReleasedDividerUpdatesAfterHalfASecond) {
  put(0x0a, 0x70);
  put(0, 0x30);
  host.set_now(test::seconds(3));
  put(0x0a, 0x26);
  EXPECT_EQ(get(0), 0x30);
  host.set_now(test::milliseconds(3'500));
  EXPECT_EQ(get(0), 0x31);
}

TEST_F(RtcTest, AbsurdTimesAreSurvived) {
  for (unsigned format : {0x80u, 0x82u, 0x84u, 0x86u}) {
    put(0x0b, static_cast<u8>(format));
    for (u8 index : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x32}) put(index, 0xff);
    put(0x0b, static_cast<u8>(format & 0x7f));
    for (u8 index = 0; index < 128; ++index) get(index);
  }
  SUCCEED();
}

}  // namespace
}  // namespace bunshin
