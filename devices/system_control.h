#pragma once

// The chipset's two reset and A20 registers: system control port A of the PS/2 (0x92) and the PIIX/ICH reset control
// register (0xCF9; Intel ICH9 datasheet 13.7.5).

#include "devices/device.h"

namespace bunshin {

/// Region 0: port 0x92. Region 1: port 0xCF9.
/// Output pins: 0 reset request (pulse), 1 A20 gate level as port 0x92 drives it.
class SystemControl final : public Device {
 public:
  static constexpr unsigned pin_reset = 0;
  static constexpr unsigned pin_a20 = 1;

  explicit SystemControl(DeviceHost& host) : host_(host) {}

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override;
  void hash(StateHash& hash) const override { hash.add(u64{port_a_} << 8 | reset_control_); }

 private:
  DeviceHost& host_;
  u8 port_a_ = 0x02;  ///< bit 1: A20 enabled, as firmware leaves it
  u8 reset_control_ = 0;
};

}  // namespace bunshin
