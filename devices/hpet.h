#pragma once

// High precision event timer: IA-PC HPET specification 1.0a.

#include <array>

#include "devices/device.h"

namespace bunshin {

/// Region 0: the memory window (0xFED00000, 1 KiB); aligned 32- and 64-bit accesses.
///   0x000 capabilities and ID   0x010 configuration   0x020 interrupt status   0x0f0 main counter
///   0x100 + 0x20 n: timer n configuration, + 8 comparator, + 16 FSB (MSI) route
/// Output pins 0..23: interrupt lines by global system interrupt number, of which timers may be routed to 16..23, and
/// legacy replacement drives 0 (timer 0, the line of ISA IRQ 0, which the board wires to IOAPIC input 2) and 8
/// (timer 1). Pin 24: legacy replacement is on; the board then keeps the PIT off line 0 and the RTC off line 8.
class Hpet final : public Device {
 public:
  static constexpr unsigned timer_count = 3;
  static constexpr unsigned pin_legacy_replacement = 24;
  static constexpr u64 default_period_fs = 10'000'000;

  /// `period_fs`: period of the main counter in femtoseconds, 1..100'000'000 (2.3.4). `fsb_delivery`: the timers can
  /// send message-signalled interrupts.
  explicit Hpet(DeviceHost& host, u64 period_fs = default_period_fs, bool fsb_delivery = false)
      : host_(host), period_fs_(period_fs), fsb_delivery_(fsb_delivery) {}

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void alarm() override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  struct Timer {
    u64 configuration = 0;
    u64 comparator = ~u64{0};
    u64 period = 0;
    u64 fsb_route = 0;
  };

  bool enabled() const;
  u64 tick() const { return static_cast<u64>(u128{host_.now().ps} * 1000 / period_fs_); }
  SimTime time_of_tick(u128 tick) const;
  u64 counter() const;
  /// Serves the matches between the last call and now.
  void service();
  void match(unsigned index);
  void schedule();
  void drive();
  unsigned route(unsigned index) const;
  u64 read_register(u64 offset) const;
  void write_register(u64 offset, u64 value, u64 mask);
  void write_timer(unsigned index, u64 offset, u64 value, u64 mask);
  void write_comparator(Timer& timer, u64 value, u64 mask);

  DeviceHost& host_;
  const u64 period_fs_;
  const bool fsb_delivery_;
  u64 configuration_ = 0;
  u64 status_ = 0;
  u64 base_count_ = 0;  ///< the counter at base_tick_; while halted, the counter
  u64 base_tick_ = 0;
  u64 served_ = 0;  ///< the counter up to which matches have been served
  u32 driven_ = 0;  ///< output pins that are high
  std::array<Timer, timer_count> timers_{};
};

}  // namespace bunshin
