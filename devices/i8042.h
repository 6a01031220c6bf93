#pragma once

// Intel 8042 keyboard controller with the PS/2 command set, and a keyboard that answers but on which nobody types.
// There is no auxiliary (mouse) port: its commands are answered as a controller without one does.

#include <array>

#include "devices/device.h"

namespace bunshin {

/// Region 0: port 0x60 (data). Region 1: port 0x64 (status/command).
/// Output pins: 0 IRQ 1, 1 reset request (pulse), 2 A20 gate.
class I8042 final : public Device {
 public:
  static constexpr unsigned pin_irq = 0;
  static constexpr unsigned pin_reset = 1;
  static constexpr unsigned pin_a20 = 2;

  explicit I8042(DeviceHost& host) : host_(host) { reset(); }

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  static constexpr unsigned queue_capacity = 16;

  void command(u8 code);
  void data(u8 byte);
  void keyboard(u8 byte);
  u8 translated(u8 byte) const;
  void write_output_port(u8 value);
  void answer(u8 byte);
  void update_interrupt();

  DeviceHost& host_;
  std::array<u8, 32> ram_{};  ///< byte 0 is the command byte
  std::array<u8, queue_capacity> queue_{};
  unsigned first_ = 0;
  unsigned count_ = 0;
  u8 last_ = 0;  ///< the output buffer keeps its byte after it was read
  u8 output_port_ = 0;
  u8 awaiting_ = 0;           ///< controller command whose data byte comes next
  u8 keyboard_awaiting_ = 0;  ///< keyboard command whose parameter comes next
  u8 scan_set_ = 2;
  bool last_was_command_ = false;
  bool interrupt_ = false;
};

}  // namespace bunshin
