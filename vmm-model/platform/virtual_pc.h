#pragma once

// The machine that a guest sees: the board of devices/tlm/pc.h once more, of the same plain device classes, without buses. Each
// guest has its own (CHAPTER S1): UART, PICs, PIT, CMOS clock, HPET, local and I/O APIC, ACPI, PCI, keyboard controller, VGA.
//
// A disk is a virtio-blk function on its PCI bus, its BAR where firmware or the guest puts it.
//
//   memory    0x000B8000 text memory   0xE0000000 PCI configuration   0xFEC00000 IOAPIC   0xFED00000 HPET   local APIC

#include <optional>

#include "devices/acpi_pm.h"
#include "devices/debug_ports.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/interrupt_bus.h"
#include "devices/pci_host.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/system_control.h"
#include "devices/tlm/pc_lines.h"
#include "devices/uart16550.h"
#include "devices/vga_text.h"
#include "devices/virtio_blk.h"
#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {

/// What the board asks of the one who runs the guest.
class VirtualPcEvents {
 public:
  virtual void power_off() = 0;
  virtual void reset() = 0;
  virtual void debug_exit(u32 value) = 0;
  virtual void nmi() = 0;
  virtual void serial_output(u8 byte) = 0;
  /// A device has written guest memory.
  virtual void memory_written(GuestPhysical address, u64 bytes) = 0;

 protected:
  ~VirtualPcEvents() = default;
};

struct VirtualPcSetup {
  u64 epoch = 1'704'067'200;      ///< what the CMOS clock shows at boot
  Clock apic_timer{100'000'000};  ///< what the local APIC's timer divides
  LocalApicFeatures apic;
  BlockBackend* disk = nullptr;  ///< none: no disk
};

class VirtualPc final : private ProcessorPins, private SerialPort, private PciAddressMap {
 public:
  static constexpr u64 ecam_base = 0xe000'0000, io_apic_base = 0xfec0'0000, hpet_base = 0xfed0'0000;

  VirtualPc(Hardware& hardware, GuestMemory& memory, VirtualPcEvents& events, const VirtualPcSetup& setup);
  VirtualPc(const VirtualPc&) = delete;
  VirtualPc& operator=(const VirtualPc&) = delete;

  /// As firmware leaves the board: devices reset, interrupts routed, tables in memory.
  void power_on();

  /// What nobody answers reads as ones. `size` is 1, 2, 4 or 8.
  u64 read_port(u16 port, unsigned size);
  void write_port(u16 port, unsigned size, u64 value);
  u64 read_memory(u64 address, unsigned size);
  void write_memory(u64 address, unsigned size, u64 value);

  /// Serves the alarms that are due; the next one, never() if there is none.
  SimTime run_devices();
  SimTime next_alarm() const;
  /// run_devices() for what came due while the guest did not have the processor. A timer's tick that finds the one before not taken yet would be
  /// lost for what the guest cannot help, as no machine of its own would lose it: it is owed.
  SimTime guest_was_away();
  /// Raises a tick that is owed where the one before has been taken.
  void repay_ticks() {
    if (ticks_owed_ != 0) repay();
  }
  /// What run_devices() has said last may be too late: a device has set its alarm since.
  bool alarm_set() const { return alarm_set_; }
  LocalApic& apic() { return apic_; }
  /// The registers of the local APIC that are MSRs (x2APIC, IA32_TSC_DEADLINE); false raises #GP.
  bool read_apic_msr(u32 number, u64& value);
  bool write_apic_msr(u32 number, u64 value);
  /// A byte typed for the guest; false if its line is full.
  bool serial_input(u8 byte) { return com1_.receive(byte); }

 private:
  enum class Chip : u8 { pic, pit, rtc, hpet, com1, keyboard, control, pm, debug_exit, apic, bridge, lpc, disk, count };
  static constexpr unsigned chips = static_cast<unsigned>(Chip::count);

  /// What one device may ask.
  class Host final : public DeviceHost {
   public:
    void connect(VirtualPc& pc, Chip chip) {
      pc_ = &pc;
      chip_ = chip;
    }
    SimTime now() const override { return pc_->now(); }
    void set_alarm(SimTime at) override {
      alarm = at;
      pc_->alarm_set_ = true;
    }
    void set_pin(unsigned pin, bool level) override { pc_->pin_changed(chip_, pin, level); }
    bool dma_read(u64 address, std::span<u8> data) override;
    bool dma_write(u64 address, std::span<const u8> data) override;

    SimTime alarm = SimTime::never();

   private:
    VirtualPc* pc_ = nullptr;
    Chip chip_ = Chip::pic;
  };
  struct Claim {
    u64 base = 0;
    u64 size = 0;
    Device* device = nullptr;
    u8 region = 0;
  };
  static constexpr unsigned max_claims = 24;
  /// Alarms served at once; after that time jumps, or a guest with a fast timer could keep the hypervisor busy for ever. A second
  /// of a tick of 250 Hz, whose pulses have two edges.
  static constexpr unsigned max_alarms = 512;
  /// Who ticks: lines of PIT and HPET, and the local APIC's timer.
  enum class Ticker : u8 { line0, line8, local_apic, count };
  static constexpr unsigned line_of(Ticker ticker) { return ticker == Ticker::line0 ? 0 : 8; }
  static constexpr u16 max_owed = 1'000;

  /// Throughout an access time stands still for the devices, as DeviceHost promises: the hypervisor's goes on between the bytes
  /// of a counter. What a device causes while it is served belongs to the same access.
  class Access {
   public:
    explicit Access(VirtualPc& pc) : pc_(pc), outermost_(!pc.in_access_) { pc_.in_access_ = true; }
    ~Access() {
      if (!outermost_) return;
      pc_.in_access_ = false;
      pc_.access_time_.reset();
    }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;

   private:
    VirtualPc& pc_;
    bool outermost_;
  };
  /// Looked up when the first device asks: most never do.
  SimTime now() {
    if (access_time_) return *access_time_;
    const SimTime present = hardware_.now();
    if (in_access_) access_time_ = present;
    return present;
  }
  Host& host(Chip chip) { return hosts_[static_cast<unsigned>(chip)]; }
  void claim(u16 port, u16 size, Device& device, u8 region);
  void claim_ports();
  const Claim* find_port(u16 port, unsigned size) const;
  const Claim* find_memory(u64 address, unsigned size, Claim& scratch);
  u64 read(const Claim& claim, u64 address, unsigned size);
  void write(const Claim& claim, u64 address, unsigned size, u64 value);
  void serve_alarms(SimTime present);
  void serve(unsigned chip);
  void owe(Ticker ticker);
  /// A timer is about to raise the line.
  void note_edge(unsigned line);
  bool waits(Ticker ticker) const;
  void repay();
  /// A guest that sets a timer anew begins to count anew.
  void forget_debts(const Claim& claim, u64 offset);
  /// A device's time does not go back: what it has asked for before the access that is made now comes first.
  void catch_up(const Device& device);
  void pin_changed(Chip chip, unsigned pin, bool level);
  void drive_legacy_timers();
  void start_legacy_chips();
  void set_cmos();
  void write_firmware_data();

  // PciAddressMap: the disk's, the only function with a BAR.
  void place_bar(unsigned bar, bool io, u64 base, u64 size) override;
  void remove_bar(unsigned /*bar*/) override { disk_bar_ = {}; }

  // ProcessorPins and SerialPort.
  void interrupt_request_changed() override {}
  void nmi() override { events_.nmi(); }
  void smi() override {}
  void init() override { events_.reset(); }
  void startup(u8 /*vector*/) override {}
  void transmit(u8 byte) override { events_.serial_output(byte); }

  Hardware& hardware_;
  GuestMemory& memory_;
  VirtualPcEvents& events_;
  // What devices reach through their hosts stands before them: they reset themselves when they are made.
  bool in_access_ = false, alarm_set_ = false;
  std::optional<SimTime> access_time_;
  bool legacy_replacement_ = false, pit_level_ = false, rtc_level_ = false;
  bool guest_away_ = false;
  unsigned ticks_owed_ = 0;
  std::array<u16, static_cast<unsigned>(Ticker::count)> owed_{};
  std::array<Host, chips> hosts_;
  std::array<Device*, chips> alarmed_{};
  InterruptRouter router_;
  Pic pic_;
  IoApic io_apic_;
  InterruptLines lines_;
  Pit pit_;
  Rtc rtc_;
  Hpet hpet_;
  Uart16550 com1_;
  I8042 keyboard_;
  SystemControl control_;
  AcpiPm pm_;
  IsaDebugExit debug_exit_;
  DebugConsole debug_console_;
  PostCode post_code_;
  VgaText vga_;
  LocalApic apic_;
  PciHost pci_;
  PciHostBridge bridge_;
  LpcBridge lpc_;
  std::optional<VirtioBlk> disk_;
  Claim disk_bar_;
  std::array<Claim, max_claims> ports_{};
  unsigned port_count_ = 0;
};

}  // namespace bunshin::vmm
