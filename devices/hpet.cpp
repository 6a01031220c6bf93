#include "devices/hpet.h"

namespace bunshin {

namespace {

constexpr u64 capabilities_offset = 0x000, configuration_offset = 0x010, status_offset = 0x020, counter_offset = 0x0f0;
constexpr u64 timers_offset = 0x100, timer_stride = 0x20;
constexpr u64 comparator_offset = 0x08, fsb_offset = 0x10;

// 2.3.4: revision 1, three timers, 64-bit counter, legacy replacement, vendor Intel; the period is in the upper half.
constexpr u64 capabilities_low = 0x8086'0000 | 1 << 15 | 1 << 13 | (Hpet::timer_count - 1) << 8 | 0x01;

constexpr u64 enable_bit = 1, legacy_bit = 2;

// Timer configuration and capability, 2.3.8.
constexpr u64 level_bit = 1 << 1, interrupt_bit = 1 << 2, periodic_bit = 1 << 3, value_set_bit = 1 << 6;
constexpr u64 narrow_bit = 1 << 8, fsb_enable_bit = 1 << 14;
constexpr u64 timer_writable = level_bit | interrupt_bit | periodic_bit | value_set_bit | narrow_bit | 0x1f << 9;
// Periodic and 64-bit capable, routable to inputs 16..23.
constexpr u64 timer_capabilities = u64{0x00ff0000} << 32 | 1 << 5 | 1 << 4;
constexpr u64 fsb_capability = 1 << 15;
constexpr unsigned no_route = 32;

constexpr u64 merge(u64 before, u64 value, u64 mask) { return (before & ~mask) | (value & mask); }

}  // namespace

bool Hpet::enabled() const { return (configuration_ & enable_bit) != 0; }

SimTime Hpet::time_of_tick(u128 tick) const {
  const u128 ps = (tick * period_fs_ + 999) / 1000;
  return ps >= SimTime::never().ps ? SimTime::never() : SimTime{static_cast<u64>(ps)};
}

u64 Hpet::counter() const { return enabled() ? base_count_ + (tick() - base_tick_) : base_count_; }

void Hpet::service() {
  const u64 now = counter();
  const u64 passed = now - served_;
  for (unsigned index = 0; index < timer_count && passed != 0; ++index) {
    Timer& timer = timers_[index];
    const u64 width = (timer.configuration & narrow_bit) != 0 ? 0xffffffff : ~u64{0};
    const u64 distance = (timer.comparator - served_) & width;
    if (distance == 0 || distance > passed) continue;
    if ((timer.configuration & periodic_bit) != 0 && (timer.period & width) != 0) {
      const u64 period = timer.period & width;
      timer.comparator = (timer.comparator + ((passed - distance) / period + 1) * period) & width;
    }
    match(index);
  }
  served_ = now;
}

// 2.3.8: a level-triggered timer sets its status bit and holds its line; an edge is a pulse.
void Hpet::match(unsigned index) {
  const Timer& timer = timers_[index];
  const bool level = (timer.configuration & level_bit) != 0;
  if (level) status_ |= u64{1} << index;
  if ((timer.configuration & interrupt_bit) == 0) return;
  if ((timer.configuration & fsb_enable_bit) != 0) {
    const u32 data = static_cast<u32>(timer.fsb_route);
    const std::array<u8, 4> bytes{static_cast<u8>(data), static_cast<u8>(data >> 8), static_cast<u8>(data >> 16),
                                  static_cast<u8>(data >> 24)};
    host_.dma_write(timer.fsb_route >> 32, bytes);
    return;
  }
  const unsigned pin = route(index);
  if (level) {
    drive();
  } else if (pin != no_route && (driven_ >> pin & 1) == 0) {
    host_.set_pin(pin, true);
    host_.set_pin(pin, false);
  }
}

unsigned Hpet::route(unsigned index) const {
  if ((configuration_ & legacy_bit) != 0 && index < 2) return index == 0 ? 0 : 8;
  const unsigned pin = timers_[index].configuration >> 9 & 0x1f;
  return (timer_capabilities >> (32 + pin) & 1) != 0 ? pin : no_route;
}

void Hpet::drive() {
  u32 wanted = (configuration_ & legacy_bit) != 0 ? u32{1} << pin_legacy_replacement : 0;
  for (unsigned index = 0; index < timer_count; ++index) {
    constexpr u64 wires = level_bit | interrupt_bit | fsb_enable_bit;
    const unsigned pin = route(index);
    if ((timers_[index].configuration & wires) != (level_bit | interrupt_bit) || pin == no_route) continue;
    if (enabled() && (status_ >> index & 1) != 0) wanted |= u32{1} << pin;
  }
  const u32 changed = wanted ^ driven_;
  driven_ = wanted;
  for (unsigned pin = 0; pin <= pin_legacy_replacement; ++pin) {
    if ((changed >> pin & 1) != 0) host_.set_pin(pin, (wanted >> pin & 1) != 0);
  }
}

// Only timers that interrupt need to be called; the status of the others is brought up to date when it is read.
void Hpet::schedule() {
  SimTime first = SimTime::never();
  for (const Timer& timer : timers_) {
    if (!enabled() || (timer.configuration & interrupt_bit) == 0) continue;
    const bool narrow = (timer.configuration & narrow_bit) != 0;
    u128 distance = (timer.comparator - served_) & (narrow ? 0xffffffff : ~u64{0});
    if (distance == 0) distance = u128{1} << (narrow ? 32 : 64);
    const SimTime at = time_of_tick(u128{base_tick_} + (served_ - base_count_) + distance);
    if (at < first) first = at;
  }
  host_.set_alarm(first);
}

void Hpet::alarm() {
  service();
  schedule();
}

u64 Hpet::read_register(u64 offset) const {
  switch (offset) {
    case capabilities_offset: return period_fs_ << 32 | capabilities_low;
    case configuration_offset: return configuration_;
    case status_offset: return status_;
    case counter_offset: return counter();
    default: break;
  }
  const u64 index = (offset - timers_offset) / timer_stride;
  if (offset < timers_offset || index >= timer_count) return 0;
  const Timer& timer = timers_[index];
  switch (offset % timer_stride) {
    case 0: return timer.configuration | timer_capabilities | (fsb_delivery_ ? fsb_capability : 0);
    case comparator_offset: return timer.comparator;
    case fsb_offset: return timer.fsb_route;
    default: return 0;
  }
}

void Hpet::write_register(u64 offset, u64 value, u64 mask) {
  switch (offset) {
    case configuration_offset: {
      const u64 count = counter();
      configuration_ = merge(configuration_, value, mask) & (enable_bit | legacy_bit);
      base_count_ = served_ = count;
      base_tick_ = tick();
      return;
    }
    case status_offset: status_ &= ~(value & mask); return;
    case counter_offset:
      base_count_ = served_ = merge(counter(), value, mask);
      base_tick_ = tick();
      return;
    default: break;
  }
  const u64 index = (offset - timers_offset) / timer_stride;
  if (offset >= timers_offset && index < timer_count) {
    write_timer(static_cast<unsigned>(index), offset % timer_stride, value, mask);
  }
}

void Hpet::write_timer(unsigned index, u64 offset, u64 value, u64 mask) {
  Timer& timer = timers_[index];
  switch (offset) {
    case 0:
      timer.configuration =
          merge(timer.configuration, value, mask) & (timer_writable | (fsb_delivery_ ? fsb_enable_bit : 0));
      if ((timer.configuration & narrow_bit) != 0) {
        timer.comparator &= 0xffffffff;
        timer.period &= 0xffffffff;
      }
      if ((timer.configuration & level_bit) == 0) status_ &= ~(u64{1} << index);
      return;
    case comparator_offset: return write_comparator(timer, value, mask);
    case fsb_offset: timer.fsb_route = merge(timer.fsb_route, value, mask); return;
    default: return;
  }
}

// 2.3.9.2.2: in periodic mode a write sets the period, and the comparator itself only after VAL_SET, which it clears.
void Hpet::write_comparator(Timer& timer, u64 value, u64 mask) {
  if ((timer.configuration & narrow_bit) != 0) mask &= 0xffffffff;
  if (mask == 0) return;
  const bool periodic = (timer.configuration & periodic_bit) != 0;
  if (!periodic || (timer.configuration & value_set_bit) != 0) timer.comparator = merge(timer.comparator, value, mask);
  if (periodic) timer.period = merge(timer.period, value, mask);
  timer.configuration &= ~value_set_bit;
}

u64 Hpet::read(unsigned /*region*/, u64 offset, unsigned size) {
  service();
  const u64 value = read_register(offset & ~u64{7}) >> (8 * (offset & 7));
  return size >= 8 ? value : value & ((u64{1} << (8 * size)) - 1);
}

void Hpet::write(unsigned /*region*/, u64 offset, unsigned size, u64 value) {
  if ((size != 4 && size != 8) || offset % size != 0) return;
  service();
  const unsigned shift = 8 * (offset & 7);
  const u64 mask = size == 8 ? ~u64{0} : u64{0xffffffff} << shift;
  write_register(offset & ~u64{7}, value << shift, mask);
  drive();
  schedule();
}

void Hpet::reset() {
  configuration_ = status_ = 0;
  base_count_ = served_ = 0;
  base_tick_ = tick();
  timers_ = {};
  drive();
  schedule();
}

void Hpet::hash(StateHash& hash) const {
  for (const u64 word : {configuration_, status_, base_count_, base_tick_, served_, u64{driven_}}) hash.add(word);
  for (const Timer& timer : timers_) {
    for (const u64 word : {timer.configuration, timer.comparator, timer.period, timer.fsb_route}) hash.add(word);
  }
}

}  // namespace bunshin
