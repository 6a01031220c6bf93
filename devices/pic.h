#pragma once

// The PC's pair of interrupt controllers: Intel 8259A datasheet (231468), cascaded on IR2, with the edge/level control
// registers of the EISA and PCI chipsets (Intel ICH9 datasheet, 13.4.11).

#include <array>

#include "devices/device.h"

namespace bunshin {

/// Region 0: master, ports 0x20-0x21. Region 1: slave, ports 0xA0-0xA1. Region 2: ELCR, ports 0x4D0-0x4D1.
/// Inputs: IRQ 0..15 (2 is the cascade and ignored). Output pin 0: INTR, which drops for a moment at each acknowledge
/// so that an edge-triggered receiver sees the next request.
class Pic final : public Device {
 public:
  static constexpr unsigned pin_intr = 0;

  explicit Pic(DeviceHost& host) : host_(host) {}

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void set_input(unsigned pin, bool level) override;
  void reset() override;
  void hash(StateHash& hash) const override;

  /// Level of INTR.
  bool output() const { return output_; }
  bool masked(unsigned pin) const { return (chips_[pin / 8].imr >> (pin % 8) & 1) != 0; }
  /// An edge of the input has not been acknowledged yet. A mask lets it wait.
  bool edge_waits(unsigned pin) const { return chips_[pin / 8].edge_waits(pin % 8); }
  /// The interrupt-acknowledge cycle: the vector, IR7's of the chip concerned if no request is left (spurious).
  u8 acknowledge();

 private:
  struct Chip {
    u8 irr = 0;    ///< latched edges; level inputs are read from `lines`
    u8 lines = 0;  ///< the inputs as they are
    u8 imr = 0;
    u8 isr = 0;
    u8 elcr = 0;  ///< 1 = level-triggered
    u8 vector_base = 0;
    u8 lowest = 7;             ///< the input of lowest priority, rotated by OCW2
    u8 expected_icw = 0;       ///< initialisation command word that the next data write is; 0 = OCW1
    bool initialised = false;  ///< requests nothing before its first ICW1..ICW4
    bool needs_icw4 = false;
    bool single = false;
    bool auto_eoi = false;
    bool rotate_on_auto_eoi = false;
    bool special_fully_nested = false;
    bool special_mask = false;
    bool poll = false;
    bool read_isr = false;

    bool edge_waits(unsigned input) const { return initialised && ((irr & ~elcr) >> input & 1) != 0; }
    u8 requests() const { return static_cast<u8>((irr & ~elcr) | (lines & elcr)); }
    unsigned rank(unsigned input) const { return (input + 15u - lowest) & 7; }  ///< 0 = highest priority
    int highest(u8 inputs) const;
    /// The input to interrupt for, -1 if none. `cascade`: the slave's INT, on IR2 (master only).
    int pending(bool cascade) const;
    void set_line(unsigned input, bool level);
    void begin_service(unsigned input);
    void write_command(u8 value);
    void write_data(u8 value);
    void end_of_interrupt(u8 ocw2);
    void hash(StateHash& hash) const;
  };

  static constexpr unsigned master = 0, slave = 1;

  int pending(unsigned chip) const;
  u8 take(unsigned chip, int input);
  u8 read_byte(unsigned region, u64 offset);
  void write_byte(unsigned region, u64 offset, u8 value);
  void update();

  DeviceHost& host_;
  std::array<Chip, 2> chips_{};
  bool output_ = false;
};

}  // namespace bunshin
