#include "devices/uart16550.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/devices/chip_host.h"

namespace bunshin::test {
namespace {

struct Uart : testing::Test, SerialPort {
  Uart() { uart.connect(this); }
  virtual ~Uart() = default;
  void transmit(u8 byte) override { sent.push_back(static_cast<char>(byte)); }
  u8 in(unsigned port) { return static_cast<u8>(uart.read(0, port, 1)); }
  void out(unsigned port, u8 value) { uart.write(0, port, 1, value); }

  ChipHost host;
  Uart16550 uart{host};
  std::string sent;
};

TEST_F(Uart, SendsWhatIsWrittenToThr) {
  out(0, 'h');
  out(0, 'i');
  EXPECT_EQ(sent, "hi");
  EXPECT_EQ(in(5) & 0x60, 0x60);
}

TEST_F(Uart, DivisorLatchHidesDataAndIer) {
  out(3, 0x83);
  out(0, 1);
  out(1, 2);
  EXPECT_EQ(in(0), 1);
  EXPECT_EQ(in(1), 2);
  out(3, 0x03);
  EXPECT_EQ(in(1), 0);
  EXPECT_TRUE(sent.empty());
}

TEST_F(Uart, LoopbackMirrorsModemLines) {
  out(4, 0x1a);  // loopback, OUT2, RTS: what Linux probes with
  EXPECT_EQ(in(6) & 0xf0, 0x90);
}

TEST_F(Uart, LoopbackReturnsDataAndSendsNothing) {
  out(4, 0x10);
  out(0, 0x5a);
  EXPECT_TRUE(sent.empty());
  EXPECT_EQ(in(5) & 1, 1);
  EXPECT_EQ(in(0), 0x5a);
}

TEST_F(Uart, FifoIsReportedOnlyWhenEnabled) {
  EXPECT_EQ(in(2) >> 6, 0);
  out(2, 1);
  EXPECT_EQ(in(2) >> 6, 3);
}

TEST_F(Uart, InterruptNeedsOut2) {
  out(1, 1);
  uart.receive('x');
  EXPECT_FALSE(host.pins[0]);
  out(4, 8);
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(Uart, ReceiveInterruptEndsWithTheLastByte) {
  out(4, 8);
  out(2, 1);
  out(1, 1);
  uart.receive('a');
  uart.receive('b');
  EXPECT_EQ(in(0), 'a');
  EXPECT_TRUE(host.pins[0]);
  EXPECT_EQ(in(0), 'b');
  EXPECT_FALSE(host.pins[0]);
}

TEST_F(Uart, FifoBelowItsTriggerTimesOut) {
  out(2, 0xc1);  // trigger at 14
  out(1, 1);
  uart.receive('a');
  EXPECT_EQ(in(2) & 0xf, 0xc);
  for (int i = 0; i < 13; ++i) uart.receive('b');
  EXPECT_EQ(in(2) & 0xf, 0x4);
}

TEST_F(Uart, EmptyTransmitterInterruptsOnceUntilWrittenAgain) {
  out(4, 8);
  out(1, 2);
  EXPECT_TRUE(host.pins[0]);
  EXPECT_EQ(in(2) & 0xf, 2);
  EXPECT_FALSE(host.pins[0]);
  out(0, 'x');
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(Uart, LineQueueIsBounded) {
  unsigned accepted = 0;
  while (accepted < 100'000 && uart.receive('x')) ++accepted;
  EXPECT_EQ(accepted, Uart16550::line_capacity + 1);  // one is in the receiver
}

}  // namespace
}  // namespace bunshin::test
