// The small ones: keyboard controller, text screen, power management, reset and debug ports.

#include <gtest/gtest.h>

#include <string>

#include "devices/acpi_pm.h"
#include "devices/debug_ports.h"
#include "devices/i8042.h"
#include "devices/pc_testdev.h"
#include "devices/system_control.h"
#include "devices/vga_text.h"
#include "tests/devices/chip_host.h"

namespace bunshin::test {
namespace {

struct Keyboard : testing::Test {
  u8 ask(u8 command) {
    chip.write(1, 0, 1, command);
    return static_cast<u8>(chip.read(0, 0, 1));
  }
  ChipHost host;
  I8042 chip{host};
};

TEST_F(Keyboard, SelfTestsPass) {
  EXPECT_EQ(ask(0xaa), 0x55);
  EXPECT_EQ(ask(0xab), 0x00);
}

TEST_F(Keyboard, HasNoAuxiliaryPort) {
  EXPECT_EQ(ask(0xa9), 0xff);
  chip.write(1, 0, 1, 0xa8);
  EXPECT_EQ(ask(0x20) & 0x20, 0x20);
}

TEST_F(Keyboard, AnswersResetAndIdentify) {
  chip.write(0, 0, 1, 0xff);
  EXPECT_EQ(chip.read(0, 0, 1), 0xfau);
  EXPECT_EQ(chip.read(0, 0, 1), 0xaau);
  EXPECT_EQ(chip.read(1, 0, 1) & 1, 0u);
}

TEST_F(Keyboard, TranslatesItsIdentity) {
  const auto identity = [&] {
    chip.write(0, 0, 1, 0xf2);
    for (int i = 0; i < 2; ++i) chip.read(0, 0, 1);
    return chip.read(0, 0, 1);
  };
  EXPECT_EQ(identity(), 0x41u);
  chip.write(1, 0, 1, 0x60);
  chip.write(0, 0, 1, 0x24);
  EXPECT_EQ(identity(), 0x83u);
}

TEST_F(Keyboard, PulseResets) {
  chip.write(1, 0, 1, 0xfe);
  EXPECT_TRUE(host.pins[I8042::pin_reset]);
}

TEST_F(Keyboard, OutputPortDrivesA20) {
  chip.write(1, 0, 1, 0xd1);
  chip.write(0, 0, 1, 0xdd);
  EXPECT_FALSE(host.pins[I8042::pin_a20]);
  chip.write(1, 0, 1, 0xd1);
  chip.write(0, 0, 1, 0xdf);
  EXPECT_TRUE(host.pins[I8042::pin_a20]);
}

TEST_F(Keyboard, EachByteIsAnEdge) {
  chip.write(0, 0, 1, 0xf2);
  EXPECT_EQ(host.rises[I8042::pin_irq], 1u);
  chip.read(0, 0, 1);
  EXPECT_EQ(host.rises[I8042::pin_irq], 2u);
}

struct Screen : testing::Test {
  std::string row(unsigned n) {
    std::array<char, VgaText::columns * VgaText::rows> text;
    chip.text(text);
    return std::string(text.data() + n * VgaText::columns, VgaText::columns);
  }
  VgaText chip;
};

TEST_F(Screen, ShowsWhatIsWritten) {
  chip.write(0, 160, 2, 0x0748);
  chip.write(0, 162, 4, 0x0721'0769);
  EXPECT_EQ(row(1).substr(0, 4), "Hi! ");
}

TEST_F(Screen, StartAddressScrolls) {
  chip.write(0, 160, 1, 'X');
  chip.write(1, 0x24, 2, 0x0d | 80 << 8);
  EXPECT_EQ(row(0)[0], 'X');
}

TEST_F(Screen, CursorRegistersReadBack) {
  chip.write(1, 0x24, 1, 0x0f);
  chip.write(1, 0x25, 1, 0x5a);
  EXPECT_EQ(chip.read(1, 0x25, 1), 0x5au);
}

struct Power : testing::Test {
  ChipHost host;
  AcpiPm chip{host};
};

TEST_F(Power, TimerRunsAtItsFrequency) {
  host.set_now(seconds(1));
  EXPECT_EQ(chip.read(0, 8, 4), 3'579'545u);
}

TEST_F(Power, SleepTypeOfS5PowersOff) {
  chip.write(0, 4, 2, 1 << 13 | 1 << 10);
  EXPECT_FALSE(host.pins[AcpiPm::pin_power_off]);
  chip.write(0, 4, 2, 1 << 13);
  EXPECT_TRUE(host.pins[AcpiPm::pin_power_off]);
}

TEST_F(Power, SmiCommandSwitchesAcpiOn) {
  chip.write(1, 0, 1, AcpiPm::acpi_enable);
  EXPECT_EQ(chip.read(0, 4, 2) & 1, 1u);
  chip.write(1, 0, 1, AcpiPm::acpi_disable);
  EXPECT_EQ(chip.read(0, 4, 2) & 1, 0u);
}

TEST_F(Power, ButtonRaisesSciUntilCleared) {
  chip.write(1, 0, 1, AcpiPm::acpi_enable);
  chip.write(0, 2, 2, 1 << 8);
  chip.press_power_button();
  EXPECT_TRUE(host.pins[AcpiPm::pin_sci]);
  chip.write(0, 0, 2, 1 << 8);
  EXPECT_FALSE(host.pins[AcpiPm::pin_sci]);
}

TEST_F(Power, TimerCarryInterrupts) {
  chip.write(1, 0, 1, AcpiPm::acpi_enable);
  chip.write(0, 2, 2, 1);
  host.run_until(chip, seconds(2));
  EXPECT_FALSE(host.pins[AcpiPm::pin_sci]);
  host.run_until(chip, seconds(3));  // 2^23 ticks are 2.34 s
  EXPECT_TRUE(host.pins[AcpiPm::pin_sci]);
}

struct Control : testing::Test {
  ChipHost host;
  SystemControl chip{host};
};

TEST_F(Control, FastResetIsAnEdge) {
  chip.write(0, 0, 1, 0x02);
  EXPECT_FALSE(host.pins[SystemControl::pin_reset]);
  chip.write(0, 0, 1, 0x03);
  EXPECT_TRUE(host.pins[SystemControl::pin_reset]);
}

TEST_F(Control, ResetControlNeedsTheCpuBitToRise) {
  chip.write(1, 0, 1, 0x02);
  EXPECT_FALSE(host.pins[SystemControl::pin_reset]);
  chip.write(1, 0, 1, 0x06);
  EXPECT_TRUE(host.pins[SystemControl::pin_reset]);
}

TEST(DebugExit, KeepsTheValue) {
  ChipHost host;
  IsaDebugExit chip(host);
  chip.write(0, 0, 4, 0x1234);
  EXPECT_TRUE(host.pins[0]);
  EXPECT_EQ(chip.value(), 0x1234u);
}

TEST(TestDevice, RaisesAnyLine) {
  ChipHost host;
  PcTestDevice chip(host);
  chip.write(3, 23, 1, 1);
  EXPECT_TRUE(host.pins[23]);
  chip.write(3, 23, 1, 0);
  EXPECT_FALSE(host.pins[23]);
}

TEST(TestDevice, ValueAndMemoryReadBack) {
  ChipHost host;
  PcTestDevice chip(host);
  chip.write(0, 0, 4, 0x1122'3344);
  EXPECT_EQ(chip.read(2, 1, 1), 0x33u);
  chip.write(4, 0xfffe, 2, 0xbeef);
  EXPECT_EQ(chip.read(4, 0xfffe, 2), 0xbeefu);
}

}  // namespace
}  // namespace bunshin::test
