#pragma once

// ACPI fixed hardware (ACPI 6.4, 4.8 "ACPI Register Model"), laid out as in the power-management block of Intel's ICH9
// (datasheet 13.8.3), at the base address and with the sleep type that QEMU's machines use.

#include "devices/device.h"

namespace bunshin {

/// Region 0: 128 ports from `pm_base` (PM1 status/enable at 0, control at 4, timer at 8, GPE0 at 0x20, SMI at 0x30).
/// Region 1: ports 0xB2 (SMI command) and 0xB3 (SMI status).
/// Input: 0 the real-time clock's interrupt, which wakes the machine from S3 if RTC_EN is set.
/// Output pins: 0 SCI (level), 1 power-off (pulse), 2 suspend to RAM (pulse).
class AcpiPm final : public Device {
 public:
  static constexpr unsigned pin_sci = 0;
  static constexpr unsigned pin_power_off = 1;
  static constexpr unsigned pin_suspend = 2;
  static constexpr u16 pm_base = 0x600;
  static constexpr u16 pm_length = 0x80;
  static constexpr u8 acpi_enable = 2;  ///< to the SMI command port
  static constexpr u8 acpi_disable = 3;
  static constexpr u8 soft_off_type = 0;  ///< SLP_TYP of S5
  static constexpr u8 suspend_type = 1;   ///< SLP_TYP of S3
  static constexpr u16 sci_irq = 9;

  explicit AcpiPm(DeviceHost& host) : host_(host) { reset(); }

  void press_power_button();

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void alarm() override;
  void set_input(unsigned pin, bool level) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  u32 timer() const;
  u8 read_byte(u64 offset);
  void write_byte(u64 offset, u8 value);
  void write_control(u16 value);
  void follow_timer();
  void wake_up();
  void update();

  DeviceHost& host_;
  u16 status_ = 0;
  u16 enable_ = 0;
  u16 control_ = 0;
  u64 gpe_status_ = 0;
  u64 gpe_enable_ = 0;
  u32 smi_enable_ = 0;
  u8 smi_command_ = 0;
  u8 smi_status_ = 0;
  u64 half_period_ = 0;  ///< half periods of the timer that TMR_STS has accounted for
  bool sci_ = false;
  bool suspended_ = false;
};

}  // namespace bunshin
