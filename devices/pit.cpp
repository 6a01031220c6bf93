#include "devices/pit.h"

namespace bunshin {

namespace {

constexpr unsigned control_offset = 3;
constexpr u64 refresh_ticks = 18;  // a refresh request each 15 microseconds

constexpr u64 from_bcd(u16 digits) {
  return (digits >> 12) * 1000u + (digits >> 8 & 15) * 100u + (digits >> 4 & 15) * 10u + (digits & 15u);
}

constexpr u16 to_bcd(u64 value) {
  return static_cast<u16>(value / 1000 % 10 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10);
}

}  // namespace

void Pit::Channel::reset(bool gate, u64 now) {
  *this = Channel{};
  gate_ = gate;
  load(65'536, now);
}

// A written count reaches the counter with the next clock pulse, hence the tick after `now`.
void Pit::Channel::load(u64 count, u64 now) {
  period_ = count;
  origin_ = now + 1;
  held_ = 0;
  loaded_ = true;
  counting_ = gate_ || mode_ == 1 || mode_ == 5;
  null_count_ = false;
  reload_waits_ = false;
}

u64 Pit::Channel::elapsed(u64 now) const {
  if (!counting_) return held_;
  return now > origin_ ? now - origin_ : 0;
}

void Pit::Channel::advance(u64 now) {
  if (!periodic() || !loaded_ || !counting_) return;
  if (reload_waits_ && now >= reload_at_) {
    // In mode 3 the end of the high half may be what the count waited for: the low half then uses it.
    const bool low_half_next = mode_ == 3 && reload_at_ == origin_ + high_ticks() && reload_at_ != origin_ + period_;
    period_ = reload_;
    origin_ = low_half_next && reload_at_ > high_ticks() ? reload_at_ - high_ticks() : reload_at_;
    reload_waits_ = null_count_ = false;
  }
  origin_ += elapsed(now) / period_ * period_;
}

// "Mode definitions" of the datasheet.
bool Pit::Channel::output(u64 now) const {
  const u64 passed = elapsed(now);
  switch (mode_) {
    case 0: return loaded_ && passed >= period_;
    case 1: return !loaded_ || passed >= period_;
    case 2: return !loaded_ || !gate_ || passed % period_ != period_ - 1;
    case 3: return !loaded_ || !gate_ || passed % period_ < high_ticks();
    default: return !loaded_ || passed != period_;
  }
}

u64 Pit::Channel::next_edge(u64 now) const {
  if (!loaded_ || !counting_) return no_edge;
  const u64 passed = elapsed(now);
  if (periodic()) {
    if (period_ == 1 && !reload_waits_) return no_edge;
    const u64 cycle = origin_ + passed / period_ * period_;
    const u64 low = cycle + (mode_ == 2 ? period_ - 1 : high_ticks());
    return low > now ? low : cycle + period_;
  }
  if (passed < period_) return origin_ + period_;
  const bool strobe = mode_ == 4 || mode_ == 5;
  return strobe && passed == period_ ? origin_ + period_ + 1 : no_edge;
}

// After the terminal count modes 0, 1, 4 and 5 go on counting from the largest number.
u16 Pit::Channel::count(u64 now) const {
  const u64 passed = elapsed(now);
  u64 value = 0;
  if (mode_ == 2) {
    value = period_ - passed % period_;
  } else if (mode_ == 3) {
    // Counts by two; an odd count is loaded less one.
    const u64 position = passed % period_;
    const u64 half = position < high_ticks() ? position : position - high_ticks();
    value = (period_ & ~u64{1}) - 2 * half;
  } else {
    value = period_ + modulus() - passed % modulus();
  }
  return bcd_ ? to_bcd(value % 10'000) : static_cast<u16>(value);
}

void Pit::Channel::write_control(u8 control, u64 now) {
  access_ = control >> 4 & 3;
  held_ = 0;
  counting_ = false;
  origin_ = now;
  mode_ = control >> 1 & 7;
  if (mode_ > 5) mode_ &= 3;  // bit 2 is "don't care" for modes 2 and 3
  bcd_ = (control & 1) != 0;
  loaded_ = false;
  null_count_ = true;
  reload_waits_ = false;
  high_byte_next_write_ = high_byte_next_read_ = false;
  latched_bytes_ = 0;
  status_latched_ = false;
}

void Pit::Channel::write_count(u8 value, u64 now) {
  u16 written = value;
  if (access_ == 2) written = static_cast<u16>(value << 8);
  if (access_ == 3) {
    if (!high_byte_next_write_) {
      low_byte_ = value;
      high_byte_next_write_ = true;
      if (mode_ == 0) {
        // The first byte stops the counter and puts the output low.
        held_ = elapsed(now) % modulus();
        counting_ = loaded_ = false;
      }
      return;
    }
    high_byte_next_write_ = false;
    written = static_cast<u16>(value << 8 | low_byte_);
  }
  reload_ = bcd_ ? from_bcd(written) : written;
  if (reload_ == 0) reload_ = modulus();
  null_count_ = true;
  if (mode_ == 1 || mode_ == 5) return;  // a trigger loads it
  if (periodic() && loaded_ && counting_) {
    advance(now);
    if (!reload_waits_) {
      const bool high_half = mode_ == 3 && elapsed(now) < high_ticks();
      reload_at_ = origin_ + (high_half ? high_ticks() : period_);
    }
    reload_waits_ = true;
    return;
  }
  load(reload_, now);
}

// "Gate pin operations summary".
void Pit::Channel::set_gate(bool level, u64 now) {
  if (gate_ == level) return;
  advance(now);
  gate_ = level;
  switch (mode_) {
    case 1:
    case 5:
      if (level) load(reload_, now);
      break;
    case 2:
    case 3:
      if (!loaded_) break;
      if (level) {
        load(reload_, now);
      } else {
        held_ = elapsed(now);
        counting_ = false;
      }
      break;
    default:
      if (!loaded_) break;
      if (level) {
        origin_ = now - (held_ < now ? held_ : now);
        counting_ = true;
      } else {
        held_ = elapsed(now);
        counting_ = false;
      }
      break;
  }
}

void Pit::Channel::latch_count(u64 now) {
  if (latched_bytes_ != 0) return;
  advance(now);
  latch_ = count(now);
  latched_bytes_ = access_ == 3 ? 2 : 1;
}

void Pit::Channel::latch_status(u64 now) {
  if (status_latched_) return;
  advance(now);
  const bool null_count = null_count_ || (loaded_ && now < origin_);
  status_ =
      static_cast<u8>((output(now) ? 0x80 : 0) | (null_count ? 0x40 : 0) | access_ << 4 | mode_ << 1 | (bcd_ ? 1 : 0));
  status_latched_ = true;
}

u8 Pit::Channel::read_count(u64 now) {
  if (status_latched_) {
    status_latched_ = false;
    return status_;
  }
  advance(now);
  const u16 value = latched_bytes_ != 0 ? latch_ : count(now);
  if (latched_bytes_ != 0) --latched_bytes_;
  bool high = access_ == 2;
  if (access_ == 3) {
    high = high_byte_next_read_;
    high_byte_next_read_ = !high;
  }
  return static_cast<u8>(high ? value >> 8 : value);
}

void Pit::Channel::hash(StateHash& hash) const {
  for (const u64 word : {u64{mode_},
                         u64{bcd_},
                         u64{access_},
                         u64{gate_},
                         period_,
                         reload_,
                         u64{loaded_},
                         u64{counting_},
                         u64{reload_waits_},
                         reload_at_,
                         u64{null_count_},
                         origin_,
                         held_,
                         u64{high_byte_next_write_},
                         u64{high_byte_next_read_},
                         u64{low_byte_},
                         u64{latched_bytes_},
                         u64{latch_},
                         u64{status_latched_},
                         u64{status_}}) {
    hash.add(word);
  }
}

void Pit::write_control(u8 value, u64 now) {
  const unsigned select = value >> 6;
  if (select < 3) {
    if ((value & 0x30) == 0) {
      channels_[select].latch_count(now);
    } else {
      channels_[select].write_control(value, now);
    }
    return;
  }
  // Read-back command: bits 5 and 4 ask, active low, for count and status of the channels in bits 3-1.
  for (unsigned channel = 0; channel < 3; ++channel) {
    if ((value >> (channel + 1) & 1) == 0) continue;
    if ((value & 0x20) == 0) channels_[channel].latch_count(now);
    if ((value & 0x10) == 0) channels_[channel].latch_status(now);
  }
}

u8 Pit::read_byte(unsigned region, u64 offset) {
  const u64 now = tick();
  if (region == 0) return offset < control_offset ? channels_[offset].read_count(now) : 0xff;
  if (region != 1 || offset != 0) return 0xff;
  channels_[2].advance(now);
  const bool refresh = (now / refresh_ticks & 1) != 0;
  return static_cast<u8>(port_b_ | (refresh ? 0x10 : 0) | (channels_[2].output(now) ? 0x20 : 0));
}

void Pit::write_byte(unsigned region, u64 offset, u8 value) {
  const u64 now = tick();
  if (region == 0 && offset <= control_offset) {
    if (offset == control_offset) {
      write_control(value, now);
    } else {
      channels_[offset].write_count(value, now);
    }
    update();
  } else if (region == 1 && offset == 0) {
    port_b_ = value & 0x0f;
    channels_[2].set_gate((value & 1) != 0, now);
  }
}

void Pit::update() {
  const u64 now = tick();
  channels_[0].advance(now);
  const bool level = channels_[0].output(now);
  if (level != irq0_) {
    irq0_ = level;
    host_.set_pin(pin_irq0, level);
  }
  const u64 edge = channels_[0].next_edge(now);
  host_.set_alarm(edge == Channel::no_edge ? SimTime::never() : Clock{hertz}.at(edge));
}

void Pit::alarm() { update(); }

u64 Pit::read(unsigned region, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned byte = 0; byte < size; ++byte) value |= u64{read_byte(region, offset + byte)} << (8 * byte);
  return value;
}

void Pit::write(unsigned region, u64 offset, unsigned size, u64 value) {
  for (unsigned byte = 0; byte < size; ++byte) write_byte(region, offset + byte, static_cast<u8>(value >> (8 * byte)));
}

void Pit::reset() {
  const u64 now = tick();
  channels_[0].reset(true, now);
  channels_[1].reset(true, now);
  channels_[2].reset(false, now);
  port_b_ = 0;
  update();
}

void Pit::hash(StateHash& hash) const {
  for (const Channel& channel : channels_) channel.hash(hash);
  hash.add(u64{port_b_} << 1 | (irq0_ ? 1 : 0));
}

}  // namespace bunshin
