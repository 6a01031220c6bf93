#pragma once

// I/O APIC: 82093AA datasheet, with the EOI register of version 0x20 (Intel I/O Controller Hub 9 datasheet, 13.5).

#include <array>

#include "devices/local_apic.h"

namespace bunshin {

/// Region 0: the memory window (0xFEC00000, 4 KiB).
///   0x00 IOREGSEL  index of the register that IOWIN shows
///   0x10 IOWIN     0x00 ID, 0x01 version, 0x02 arbitration, 0x10 + 2n / 0x11 + 2n redirection entry n (low / high)
///   0x40 EOI       ends the level-triggered interrupt of the vector written
/// Inputs 0..23 are assertion levels: the board's wiring makes an active-low line assert as `true`, so an entry's
/// polarity bit is stored and read back only. No output pins: messages go to InterruptBus.
class IoApic final : public Device {
 public:
  static constexpr unsigned input_count = 24;

  explicit IoApic(InterruptBus& bus, u8 id = 0) : bus_(bus), initial_id_(id & 15) { reset(); }

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void set_input(unsigned pin, bool level) override;
  void reset() override;
  void hash(StateHash& hash) const override;

  /// What an edge on the input asks for; 0 if it would go unnoticed, or not as a vector of the input's own.
  u8 edge_vector(unsigned pin) const;
  /// A local APIC's EOI broadcast, or a write to the EOI register.
  void end_of_interrupt(u8 vector);

 private:
  u32 read_window() const;
  void write_window(u32 value);
  void write_entry_low(unsigned pin, u32 value);
  void request_level(unsigned pin);
  void send(unsigned pin);

  InterruptBus& bus_;
  const u8 initial_id_;
  u8 select_ = 0;
  u8 id_ = 0;
  u32 inputs_ = 0;
  std::array<u64, input_count> entries_{};
};

}  // namespace bunshin
