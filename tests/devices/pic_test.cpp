#include <gtest/gtest.h>

#include "devices/pic.h"
#include "tests/devices/chip_host.h"

namespace bunshin {
namespace {

class PicTest : public ::testing::Test {
 protected:
  PicTest() { initialise(0x01); }

  void initialise(u8 icw4, u8 icw4_slave = 0x01) {
    pic.reset();
    for (unsigned chip = 0; chip < 2; ++chip) {
      pic.write(chip, 0, 1, 0x11);
      pic.write(chip, 1, 1, chip == 0 ? 0x20 : 0x28);
      pic.write(chip, 1, 1, chip == 0 ? 0x04 : 0x02);
      pic.write(chip, 1, 1, chip == 0 ? icw4 : icw4_slave);
    }
  }
  void pulse(unsigned irq) {
    pic.set_input(irq, true);
    pic.set_input(irq, false);
  }
  u8 in_service(unsigned chip) {
    pic.write(chip, 0, 1, 0x0b);
    return static_cast<u8>(pic.read(chip, 0, 1));
  }

  test::ChipHost host;
  Pic pic{host};
};

TEST_F(PicTest, RequestsNothingBeforeItIsInitialised) {
  pic.reset();
  pic.set_input(0, true);
  EXPECT_FALSE(pic.output());
}

TEST_F(PicTest, VectorIsBasePlusInput) {
  pic.set_input(3, true);
  EXPECT_TRUE(host.pins[0]);
  EXPECT_EQ(pic.acknowledge(), 0x23);
  EXPECT_FALSE(host.pins[0]);
}

TEST_F(PicTest, SlaveVectorComesThroughTheCascade) {
  pic.set_input(12, true);
  EXPECT_EQ(pic.acknowledge(), 0x2c);
  EXPECT_EQ(in_service(0), 0x04);
  EXPECT_EQ(in_service(1), 0x10);
}

TEST_F(PicTest, EdgeIsNotRepeatedWhileTheLineStaysHigh) {
  pic.set_input(3, true);
  pic.acknowledge();
  pic.write(0, 0, 1, 0x20);
  EXPECT_FALSE(pic.output());
}

TEST_F(PicTest, LevelIsRepeatedAfterEoi) {
  pic.write(2, 0, 1, 0xff);
  EXPECT_EQ(pic.read(2, 0, 1), 0xf8u);
  pic.set_input(5, true);
  pic.acknowledge();
  EXPECT_FALSE(pic.output());
  pic.write(0, 0, 1, 0x20);
  EXPECT_TRUE(pic.output());
}

TEST_F(PicTest, LowerPriorityWaitsForEoi) {
  pulse(1);
  EXPECT_EQ(pic.acknowledge(), 0x21);
  pulse(4);
  EXPECT_FALSE(pic.output());
  pulse(0);
  EXPECT_TRUE(pic.output());
  EXPECT_EQ(pic.acknowledge(), 0x20);
  pic.write(0, 0, 1, 0x20);
  EXPECT_FALSE(pic.output());
  pic.write(0, 0, 1, 0x61);
  EXPECT_EQ(pic.acknowledge(), 0x24);
}

TEST_F(PicTest, MaskHoldsARequestBack) {
  pic.write(0, 1, 1, 0x08);
  pulse(3);
  EXPECT_FALSE(pic.output());
  pic.write(0, 1, 1, 0x00);
  EXPECT_TRUE(pic.output());
}

TEST_F(PicTest, AcknowledgeWithoutRequestIsSpurious) {
  EXPECT_EQ(pic.acknowledge(), 0x27);
  EXPECT_EQ(in_service(0), 0);
}

TEST_F(PicTest, AutoEoiLeavesNothingInService) {
  initialise(0x03);
  pulse(6);
  EXPECT_EQ(pic.acknowledge(), 0x26);
  EXPECT_EQ(in_service(0), 0);
}

TEST_F(PicTest, RotateOnEoiMakesTheServedInputLast) {
  pulse(2 + 1);
  pic.acknowledge();
  pic.write(0, 0, 1, 0xa0);
  pulse(3);
  pulse(4);
  EXPECT_EQ(pic.acknowledge(), 0x24);
}

TEST_F(PicTest, SetPriorityRotates) {
  pic.write(0, 0, 1, 0xc0 | 5);
  pulse(0);
  pulse(6);
  EXPECT_EQ(pic.acknowledge(), 0x26);
}

TEST_F(PicTest, SpecialMaskLetsLowerPrioritiesThrough) {
  pulse(1);
  pic.acknowledge();
  pulse(7);
  EXPECT_FALSE(pic.output());
  pic.write(0, 1, 1, 0x02);
  pic.write(0, 0, 1, 0x68);
  EXPECT_TRUE(pic.output());
  EXPECT_EQ(pic.acknowledge(), 0x27);
}

TEST_F(PicTest, PollAcknowledges) {
  pulse(4);
  pic.write(0, 0, 1, 0x0c);
  EXPECT_EQ(pic.read(0, 0, 1), 0x84u);
  EXPECT_FALSE(pic.output());
  EXPECT_EQ(in_service(0), 0x10);
}

TEST_F(PicTest, FullyNestedBlocksASecondSlaveRequest) {
  pulse(12);
  pic.acknowledge();
  pulse(8);
  EXPECT_FALSE(pic.output());
}

TEST_F(PicTest, SpecialFullyNestedLetsASecondSlaveRequestThrough) {
  initialise(0x11);
  pulse(12);
  pic.acknowledge();
  pulse(3);
  EXPECT_FALSE(pic.output());
  pulse(8);
  EXPECT_TRUE(pic.output());
  EXPECT_EQ(pic.acknowledge(), 0x28);
}

TEST_F(PicTest, OutputDropsAtAcknowledgeThoughAnotherRequestIsPending) {
  initialise(0x03);
  pulse(4);
  pulse(5);
  const unsigned rises = host.rises[0];
  pic.acknowledge();
  EXPECT_TRUE(pic.output());
  EXPECT_EQ(host.rises[0], rises + 1);
}

}  // namespace
}  // namespace bunshin
