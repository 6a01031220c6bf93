#include <gtest/gtest.h>

#include "devices/pci_host.h"
#include "tests/devices/dma_host.h"

namespace bunshin::test {
namespace {

/// A function with one BAR of each kind, MSI and MSI-X.
class Probe final : public PciFunction {
 public:
  explicit Probe(DeviceHost& host) : PciFunction(host, {0x1234, 0x5678, 0x020000, 1, 0, 0}) {
    add_memory_bar(0, 0x4000, true);
    add_io_bar(2, 0x20);
    define(0x3d, 1, 1, 0);
    add_msi();
    add_msix(2, 0, 0x2000, 0x3000);
  }
  using PciFunction::set_intx;
  using PciFunction::signal_msi;
  using PciFunction::signal_msix;
};

struct Map final : PciAddressMap {
  void place_bar(unsigned bar, bool, u64 base, u64) override { at[bar] = base; }
  void remove_bar(unsigned bar) override { at.erase(bar); }
  std::map<unsigned, u64> at;
};

struct Pci : testing::Test {
  Pci() {
    function.connect(&map);
    host.attach(3 << 3, function);
  }
  u32 config(u16 offset, unsigned size = 4) {
    host.write(0, 0, 4, 0x8000'0000 | 3 << 11 | (offset & 0xfc));
    return static_cast<u32>(host.read(0, 4 + (offset & 3), size));
  }
  void config_write(u16 offset, unsigned size, u32 value) {
    host.write(0, 0, 4, 0x8000'0000 | 3 << 11 | (offset & 0xfc));
    host.write(0, 4 + (offset & 3), size, value);
  }
  u16 capability(u8 id) {
    for (u32 at = config(0x34, 1), steps = 0; at != 0 && steps < 48;
         at = config(static_cast<u16>(at + 1), 1), ++steps) {
      if (config(static_cast<u16>(at), 1) == id) return static_cast<u16>(at);
    }
    return 0;
  }
  void enable_msix() {
    config_write(0x04, 2, 0x6);
    config_write(static_cast<u16>(capability(0x11) + 2), 2, 0x8000);
    function.write(0, 0x2000, 4, 0xfee0'1000);
    function.write(0, 0x2008, 4, 0x41);
  }
  DmaHost bus;
  Probe function{bus};
  Map map;
  PciHost host;
};

TEST_F(Pci, MechanismOneReadsEveryWidth) {
  EXPECT_EQ(config(0), 0x5678'1234u);
  EXPECT_EQ(config(2, 2), 0x5678u);
  EXPECT_EQ(config(0x0b, 1), 0x02u);
}

TEST_F(Pci, EnhancedWindowShowsTheSame) {
  EXPECT_EQ(host.read(1, 3 << 15, 4), 0x5678'1234u);
  EXPECT_EQ(host.read(1, (3 << 15) + 0xffc, 4), 0u);
}

TEST_F(Pci, NobodyReadsAsOnes) {
  EXPECT_EQ(host.read(1, 4 << 15, 4), 0xffff'ffffu);
  EXPECT_EQ(host.read(1, u64{255} << 20, 2), 0xffffu);
}

TEST_F(Pci, DisabledAddressRegisterAnswersNobody) {
  host.write(0, 0, 4, 3 << 11);
  EXPECT_EQ(host.read(0, 4, 4), 0xffff'ffffu);
}

TEST_F(Pci, BarsTellTheirSizes) {
  config_write(0x10, 4, ~0u);
  config_write(0x14, 4, ~0u);
  config_write(0x18, 4, ~0u);
  EXPECT_EQ(config(0x10), 0xffff'c004u);
  EXPECT_EQ(config(0x14), 0xffff'ffffu);
  EXPECT_EQ(config(0x18), 0xffff'ffe1u);
}

TEST_F(Pci, BarsAppearWhenDecodingIsOn) {
  config_write(0x10, 4, 0xc000'0000);
  EXPECT_TRUE(map.at.empty());
  config_write(0x04, 2, 2);
  EXPECT_EQ(map.at[0], 0xc000'0000u);
  config_write(0x10, 4, 0xd000'0000);
  EXPECT_EQ(map.at[0], 0xd000'0000u);
  config_write(0x04, 2, 0);
  EXPECT_TRUE(map.at.empty());
}

TEST_F(Pci, ReadOnlyRegistersKeepTheirValues) {
  config_write(0x00, 4, 0);
  config_write(0x34, 1, 0);
  EXPECT_EQ(config(0), 0x5678'1234u);
  EXPECT_NE(config(0x34, 1), 0u);
}

TEST_F(Pci, CapabilitiesAreLinked) {
  EXPECT_NE(capability(0x05), 0);
  EXPECT_NE(capability(0x11), 0);
  EXPECT_EQ(capability(0x10), 0);
}

TEST_F(Pci, MaskedMsixWaitsInThePendingArray) {
  enable_msix();
  function.signal_msix(0);
  EXPECT_TRUE(bus.messages.empty());
  EXPECT_EQ(function.read(0, 0x3000, 8), 1u);
  function.write(0, 0x200c, 4, 0);
  ASSERT_EQ(bus.messages.size(), 1u);
  EXPECT_EQ(bus.messages[0], (std::pair<u64, u32>{0xfee0'1000, 0x41}));
  EXPECT_EQ(function.read(0, 0x3000, 8), 0u);
}

TEST_F(Pci, MessagesNeedBusMastering) {
  enable_msix();
  function.write(0, 0x200c, 4, 0);
  config_write(0x04, 2, 2);
  function.signal_msix(0);
  EXPECT_TRUE(bus.messages.empty());
}

TEST_F(Pci, MsiSendsItsMessage) {
  const u16 at = capability(0x05);
  config_write(0x04, 2, 4);
  config_write(static_cast<u16>(at + 4), 4, 0xfee0'2000);
  config_write(static_cast<u16>(at + 12), 2, 0x55);
  config_write(static_cast<u16>(at + 2), 2, 1);
  function.signal_msi();
  ASSERT_EQ(bus.messages.size(), 1u);
  EXPECT_EQ(bus.messages[0].second, 0x55u);
}

TEST_F(Pci, IntxObeysTheDisableBitAndMsix) {
  function.set_intx(true);
  EXPECT_TRUE(bus.pins[0]);
  EXPECT_EQ(config(6, 2) & 8, 8u);
  config_write(0x04, 2, 1 << 10);
  EXPECT_FALSE(bus.pins[0]);
  config_write(0x04, 2, 0);
  EXPECT_TRUE(bus.pins[0]);
  enable_msix();
  EXPECT_FALSE(bus.pins[0]);
}

TEST_F(Pci, FirmwareAssignsDisjointWindows) {
  assign_pci_resources(host, {0xc000'0000, 0xe000'0000, 0xc000});
  EXPECT_EQ(map.at[0], 0xc000'0000u);
  EXPECT_EQ(map.at[2], 0xc000u);
  EXPECT_EQ(config(0x3c, 1), LpcBridge::firmware_irq(3));
}

TEST_F(Pci, FirmwareLeavesOutWhatDoesNotFit) {
  assign_pci_resources(host, {0xc000'0000, 0xc000'1000, 0x1'0000});
  EXPECT_TRUE(map.at.empty());
}

struct Lpc : testing::Test {
  DmaHost bus;
  LpcBridge lpc{bus, 0x600};
};

TEST_F(Lpc, PinsReachTheirGsi) {
  lpc.set_input(2 * 4 + 0, true);
  EXPECT_TRUE(bus.pins[18]);
  lpc.set_input(2 * 4 + 0, false);
  EXPECT_FALSE(bus.pins[18]);
}

TEST_F(Lpc, SharedLineFallsWithItsLastDriver) {
  lpc.set_input(2 * 4, true);
  lpc.set_input(10 * 4, true);
  lpc.set_input(2 * 4, false);
  EXPECT_TRUE(bus.pins[18]);
  lpc.set_input(10 * 4, false);
  EXPECT_FALSE(bus.pins[18]);
}

TEST_F(Lpc, PirqReachesThePicOnlyOnceRouted) {
  lpc.set_input(2 * 4, true);
  EXPECT_FALSE(bus.pins[10]);
  lpc.route_interrupts();
  EXPECT_TRUE(bus.pins[10]);
  lpc.config_write(0x62, 1, 0x80);
  EXPECT_FALSE(bus.pins[10]);
}

}  // namespace
}  // namespace bunshin::test
