#pragma once

// Real-time clock and CMOS RAM: Motorola MC146818A datasheet, as the PC wires it.

#include <array>

#include "devices/device.h"

namespace bunshin {

/// Region 0: port 0x70 (bits 6-0 index, bit 7 masks NMI; write-only), port 0x71 (data).
///   index 0x00-0x09 time and alarm, 0x0A-0x0D registers A-D, 0x32 century, the rest RAM
/// Output pin 0: IRQ 8, high until register C is read.
class Rtc final : public Device {
 public:
  static constexpr unsigned pin_irq8 = 0;
  static constexpr unsigned ram_size = 128;
  static constexpr u8 century_index = 0x32;

  /// `epoch`: what the clock shows at simulated time 0, in seconds since 1970-01-01 00:00 UTC.
  Rtc(DeviceHost& host, u64 epoch);

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void alarm() override;
  /// RESET of the chip: interrupts off and flags clear; time, RAM and formats are battery-backed.
  void reset() override;
  void hash(StateHash& hash) const override;

  /// What firmware would leave in RAM (memory sizes ...); indices 0x0E.. but the century.
  void set_byte(u8 index, u8 value) { ram_[index % ram_size] = value; }
  u8 byte(u8 index) const { return ram_[index % ram_size]; }
  bool nmi_masked() const { return nmi_masked_; }

 private:
  bool running() const;
  bool update_in_progress() const;
  i64 unix_seconds() const;
  u64 second_number(SimTime time) const { return (time.ps - base_ps_) / 1'000'000'000'000ULL; }
  u64 periodic_ticks() const;
  bool alarm_matches(i64 seconds) const;
  u8 encode(u64 value) const;
  unsigned decode(u8 value) const;
  u8 encode_hour(unsigned hour) const;
  unsigned decode_hour(u8 value) const;
  /// Writes the running time into the time bytes, or sets the running time from them.
  void store_time();
  void load_time();
  /// Brings the flags of register C up to date.
  void service();
  void update();
  u8 read_data();
  void write_data(u8 value);
  void write_register_a(u8 value);
  void write_register_b(u8 value);

  DeviceHost& host_;
  std::array<u8, ram_size> ram_{};
  u8 index_ = 0;
  bool nmi_masked_ = false;
  i64 base_seconds_ = 0;  ///< unix time when the divider chain was at base_ps_
  u64 base_ps_ = 0;       ///< simulated time, modulo 2^64, of a moment at which a second began
  SimTime served_;        ///< register C says what happened up to here
  bool irq_ = false;
};

}  // namespace bunshin
