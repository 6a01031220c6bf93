#pragma once

// Programmable interval timer: Intel 8254 datasheet (231164), as the PC wires it, with the system control port B that
// holds channel 2's gate (Intel ICH9 datasheet, 13.7.1).

#include <array>

#include "devices/device.h"

namespace bunshin {

/// Region 0: ports 0x40-0x43 (counters 0-2, control word). Region 1: port 0x61.
///   0x61 bit 0 gate of channel 2, bit 1 speaker data, bits 2-3 stored, bit 4 refresh toggle, bit 5 output of channel 2
/// Output pin 0: output of channel 0 (IRQ 0). Counts and outputs are functions of time; an alarm is asked for only at
/// the edges of channel 0's output.
class Pit final : public Device {
 public:
  static constexpr unsigned pin_irq0 = 0;
  static constexpr u64 hertz = 1'193'182;

  explicit Pit(DeviceHost& host) : host_(host) {}

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void alarm() override;
  /// Channels 0 and 1 count 65536 in mode 3, as the PC's firmware leaves channel 0; channel 2's gate is low.
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  /// One counter. Times are ticks of its clock since the start of the simulation.
  class Channel {
   public:
    void reset(bool gate, u64 now);
    void write_control(u8 control, u64 now);
    void write_count(u8 value, u64 now);
    u8 read_count(u64 now);
    void latch_count(u64 now);
    void latch_status(u64 now);
    void set_gate(bool level, u64 now);
    bool gate() const { return gate_; }
    bool output(u64 now) const;
    /// The first tick after `now` at which the output may change, no_edge if it never will.
    u64 next_edge(u64 now) const;
    /// Folds whole periods into the origin and lets a count that waits for the period's end take effect.
    void advance(u64 now);
    void hash(StateHash& hash) const;

    static constexpr u64 no_edge = ~u64{0};

   private:
    bool periodic() const { return mode_ == 2 || mode_ == 3; }
    u64 modulus() const { return bcd_ ? 10'000 : 65'536; }
    u64 elapsed(u64 now) const;
    u16 count(u64 now) const;
    void load(u64 count, u64 now);
    u64 high_ticks() const { return (period_ + 1) / 2; }

    u8 mode_ = 3;
    bool bcd_ = false;
    u8 access_ = 3;  ///< 1 low byte, 2 high byte, 3 low then high
    bool gate_ = true;
    u64 period_ = 65'536;        ///< the count being counted down
    u64 reload_ = 65'536;        ///< the count register
    bool loaded_ = false;        ///< the counter has been started since the control word (modes 1, 5: by a trigger)
    bool counting_ = false;      ///< false while the gate holds it
    bool reload_waits_ = false;  ///< modes 2, 3: reload_ takes effect at the end of the period or half-cycle,
    u64 reload_at_ = 0;          ///< which is this tick
    bool null_count_ = false;    ///< a count was written and no trigger has loaded it yet
    u64 origin_ = 0;             ///< tick at which the counter held period_
    u64 held_ = 0;               ///< ticks counted when the gate stopped it

    bool high_byte_next_write_ = false;
    bool high_byte_next_read_ = false;
    u8 low_byte_ = 0;
    u8 latched_bytes_ = 0;  ///< bytes of latch_ not read yet
    u16 latch_ = 0;
    bool status_latched_ = false;
    u8 status_ = 0;
  };

  u64 tick() const { return Clock{hertz}.ticks(host_.now()); }
  u8 read_byte(unsigned region, u64 offset);
  void write_byte(unsigned region, u64 offset, u8 value);
  void write_control(u8 value, u64 now);
  void update();

  DeviceHost& host_;
  std::array<Channel, 3> channels_{};
  u8 port_b_ = 0;
  bool irq0_ = false;
};

}  // namespace bunshin
