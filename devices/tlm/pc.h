#pragma once

// The whole board: chips in their shells, on two buses, wired as a PC is.
//
//   memory space                                  I/O space
//   0x000A0000  video window (B8000: text)        0x020 0x0A0 0x4D0 PIC     0x040 0x061 PIT     0x070 RTC
//   0xC0000000  PCI memory BARs                   0x060 0x064 8042          0x080 0x092 0x0B2   0x0E0.. pc-testdev
//   0xE0000000  PCI configuration, 256 buses      0x0E9 debug console       0x0F4 debug exit    0x3B0 VGA
//   0xFEC00000  IOAPIC   0xFED00000 HPET          0x2F8 0x3F8 UARTs         0x510 fw_cfg        0x600 ACPI
//   0xFF000000  pc-testdev                        0xCF8 PCI configuration   0xC000.. PCI I/O BARs

#include <memory>
#include <string>
#include <vector>

#include "base/parameters.h"
#include "base/stats.h"
#include "devices/local_apic.h"
#include "devices/serial_port.h"
#include "devices/tlm/board.h"
#include "devices/tlm/bus.h"
#include "devices/tlm/bus_adapter.h"
#include "devices/vga_text.h"
#include "devices/virtio_blk.h"

namespace bunshin {

class FwCfg;

struct DiskParameters {
  bool snapshot = true;
  u64 latency = 20'000;
  u64 bandwidth = 2'000'000'000;
  void describe(ParameterVisitor& v);
};

struct PcParameters {
  u64 isa_latency = 1'000;
  u64 mmio_latency = 250;
  bool hpet = true;
  bool acpi = true;
  bool mp_table = true;
  bool com2 = false;
  bool testdev = true;
  bool debug_exit = true;
  u64 debug_exit_port = 0xf4;
  DiskParameters disk;
  void describe(ParameterVisitor& v);
};

/// What the board must know of the rest of the machine.
struct PcSetup {
  unsigned cores = 1;               ///< 1 to 16
  u64 epoch = 1'704'067'200;        ///< what the RTC shows at time 0, seconds since 1970
  Clock apic_timer{1'000'000'000};  ///< what local APIC timers divide: the core crystal or bus clock
  LocalApicFeatures apic;
  u32 cpu_signature = 0;  ///< CPUID.1 EAX and EDX, for the MP table
  u32 cpu_features = 0;
  std::vector<std::string> disks;  ///< raw image files, in the order in which the guest sees them
};

/// What the board asks of whoever runs it. Called while a device access or alarm is being served.
class PlatformEvents {
 public:
  virtual void power_off() = 0;
  virtual void reset() = 0;
  virtual void debug_exit(u32 value) = 0;

 protected:
  ~PlatformEvents() = default;
};

class Pc : public sc_core::sc_module {
 public:
  static constexpr u64 pci_hole = 0xc000'0000;  ///< the low_limit that PhysicalMemory must be made with, or less
  static constexpr u64 ecam_base = 0xe000'0000;
  static constexpr u64 io_apic_base = 0xfec0'0000;
  static constexpr u64 hpet_base = 0xfed0'0000;

  /// Throws std::runtime_error for a configuration that cannot be built (cores, memory above the PCI hole, disk images,
  /// overlapping ports).
  Pc(const sc_core::sc_module_name& name, const PcParameters& parameters, const PcSetup& setup, PhysicalMemory& memory,
     PlatformEvents& events);
  ~Pc() override;

  /// --- Wiring, before the simulation starts ---
  void connect_processor(unsigned core, ProcessorPins& pins);
  /// COM1 (and COM2 if configured), transmit side; the debug console writes to its own.
  void connect_serial(unsigned port, SerialPort& far_end);
  void connect_debug_console(SerialPort& console);
  void register_stats(StatRegistry& stats);
  /// Times the accesses of all bus masters from now on; null: they take no time.
  void set_dma_timer(DmaTimer* timer);

  /// The state after power-on with firmware done: devices reset, PCI resources and interrupts assigned, tables in
  /// memory, the bootstrap processor's APIC in virtual wire mode. Again at a platform reset.
  void power_on();

  /// --- Processors ---
  LocalApic& apic(unsigned core);
  /// The accessing core's time for accesses that do not pass the bus: its local APIC then sees this time, or the
  /// kernel's if that is later.
  void set_local_time(unsigned core, SimTime now);
  /// One port a core.
  BusPort& port(unsigned core);
  Bus& memory_bus();
  Bus& io_bus();

  /// --- The outside ---
  /// A byte typed at the terminal; false if the line is full.
  bool serial_input(unsigned port, u8 byte);
  void press_power_button();
  const VgaText& vga() const;
  FwCfg& fw_cfg();
  InterruptRouter& router();

  /// Where the loader must not put anything, and what memory maps show as reserved.
  struct AddressRange {
    u64 base = 0;
    u64 size = 0;
  };
  std::vector<AddressRange> reserved_ranges() const;
  /// Address of the ACPI root pointer, 0 if there is none.
  u64 rsdp() const;

  void hash(StateHash& hash) const;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace bunshin
