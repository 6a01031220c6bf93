#pragma once

// The PCI host: configuration mechanism 1 (PCI 3.0, 3.2.2.3.2) and the enhanced configuration window of PCI Express
// (4.0, 7.2.2), the host bridge and the LPC bridge. The pair is Intel's Q35 (8086:29C0) with ICH9 (8086:2918) because
// operating systems expect memory-mapped configuration, eight PIRQ lines and a 24-pin IOAPIC of exactly that pair.

#include <array>

#include "devices/pci_function.h"

namespace bunshin {

/// Region 0: ports 0xCF8..0xCFF. Region 1: 256 MiB of configuration space, 1 MiB a bus.
class PciHost final : public Device {
 public:
  static constexpr u64 ecam_bytes = u64{256} << 20;
  static constexpr unsigned max_functions = 64;

  /// Functions answer at a routing id, bus << 8 | device << 3 | function. Bridges and SR-IOV functions come and go when
  /// bus numbers do. False if the id is taken or the table is full.
  bool attach(u16 routing_id, PciConfigTarget& target);
  void detach(u16 routing_id);
  PciConfigTarget* find(u16 routing_id) const;
  /// The reset control register shares port 0xCF9 with the address register, which answers only doublewords.
  void connect_reset_control(Device& device, unsigned region) {
    reset_control_ = &device;
    reset_control_region_ = region;
  }

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override { address_ = 0; }
  void hash(StateHash& hash) const override { hash.add(address_); }

 private:
  struct Slot {
    u16 id = 0;
    PciConfigTarget* target = nullptr;
  };
  u32 config_read(u16 id, u16 offset, unsigned size) const;
  void config_write(u16 id, u16 offset, unsigned size, u32 value);
  u16 selected_id() const { return static_cast<u16>(address_ >> 8); }
  u16 selected_offset(u64 port_offset) const { return static_cast<u16>((address_ & 0xfc) + (port_offset & 3)); }

  std::array<Slot, max_functions> slots_{};
  unsigned count_ = 0;
  u32 address_ = 0;
  Device* reset_control_ = nullptr;
  unsigned reset_control_region_ = 0;
};

/// 00:00.0, the memory controller hub. PCIEXBAR shows where the configuration window lies; it does not move.
class PciHostBridge final : public PciFunction {
 public:
  PciHostBridge(DeviceHost& host, u64 ecam_base);
};

/// 00:1F.0, the LPC bridge: routes the interrupt pins of PCI devices.
/// Input pin device * 4 + (INTA..INTD: 0..3). Output pins: 0..15 the PIC's inputs as PIRQ routing says (ICH9 datasheet
/// 13.1.11), 16..23 IOAPIC inputs for PIRQA#..PIRQH#.
class LpcBridge final : public PciFunction {
 public:
  static constexpr unsigned pirqs = 8;
  static constexpr unsigned first_gsi = 16;

  LpcBridge(DeviceHost& host, u16 pm_base);

  /// The root bus wires pin `pin` of `device` to this PIRQ line; the DSDT's _PRT says the same.
  static constexpr unsigned pirq_of(unsigned device, unsigned pin) { return (device + pin) % pirqs; }
  /// The PIC input that firmware routes a PIRQ line to.
  static constexpr u8 firmware_irq(unsigned pirq) { return pirq % 2 == 0 ? 10 : 11; }
  /// What firmware does before an operating system runs.
  void route_interrupts();

  void config_write(u16 offset, unsigned size, u32 value) override;
  void set_input(unsigned pin, bool level) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  void drive();

  std::array<u32, pirqs> asserted_{};  ///< a bit a device: a line is the OR of all that drive it
  u32 outputs_ = 0;
};

/// Assigns BARs, interrupt lines and decoding to every function on bus 0, as firmware does before an operating system
/// runs. Memory BARs come from [memory_base, memory_end), I/O BARs from [io_base, 0x10000).
struct PciWindows {
  u64 memory_base = 0;
  u64 memory_end = 0;
  u32 io_base = 0;
};
void assign_pci_resources(PciHost& host, const PciWindows& windows);

}  // namespace bunshin
