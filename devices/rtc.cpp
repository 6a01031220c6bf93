#include "devices/rtc.h"

#include <algorithm>

namespace bunshin {

namespace {

enum Index : u8 {
  seconds = 0,
  seconds_alarm = 1,
  minutes = 2,
  minutes_alarm = 3,
  hours = 4,
  hours_alarm = 5,
  day_of_week = 6,
  day_of_month = 7,
  month = 8,
  year = 9,
  register_a = 10,
  register_b = 11,
  register_c = 12,
  register_d = 13,
};

constexpr u8 a_update_in_progress = 0x80, a_divider = 0x70, a_divider_running = 0x20;
constexpr u8 b_set = 0x80, b_enables = 0x70, b_binary = 0x04, b_24_hours = 0x02;
constexpr u8 periodic_flag = 0x40, alarm_flag = 0x20, update_flag = 0x10, irq_flag = 0x80;
constexpr u8 d_valid = 0x80;

constexpr u64 ps_per_second = 1'000'000'000'000ULL;
constexpr u64 update_warning_ps = 244'000'000;  // UIP goes high 244 us before the update
constexpr i64 seconds_per_day = 86'400;
constexpr Clock oscillator{32'768};

struct Date {
  i64 year;
  unsigned month;  // 1..12
  unsigned day;    // 1..31
};

// Days since 1970-01-01 in the proleptic Gregorian calendar; years begin in March so that the leap day comes last.
constexpr i64 days_from_date(Date date) {
  const i64 march_year = date.year - (date.month <= 2 ? 1 : 0);
  const i64 era = (march_year >= 0 ? march_year : march_year - 399) / 400;
  const i64 year_of_era = march_year - era * 400;
  const i64 day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

constexpr Date date_from_days(i64 days) {
  days += 719'468;
  const i64 era = (days >= 0 ? days : days - 146'096) / 146'097;
  const i64 day_of_era = days - era * 146'097;
  const i64 year_of_era = (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const i64 day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const i64 march_month = (5 * day_of_year + 2) / 153;
  const unsigned month_number = static_cast<unsigned>(march_month < 10 ? march_month + 3 : march_month - 9);
  const i64 year_number = year_of_era + era * 400 + (month_number <= 2 ? 1 : 0);
  return {year_number, month_number, static_cast<unsigned>(day_of_year - (153 * march_month + 2) / 5 + 1)};
}

static_assert(days_from_date({2000, 3, 1}) == 11'017);
static_assert(date_from_days(11'016).month == 2 && date_from_days(11'016).day == 29);

constexpr i64 floor_divide(i64 value, i64 by) { return value / by - (value % by < 0 ? 1 : 0); }

}  // namespace

Rtc::Rtc(DeviceHost& host, u64 epoch) : host_(host), base_seconds_(static_cast<i64>(epoch & 0xff'ffff'ffff)) {
  ram_[register_a] = a_divider_running | 0x06;
  ram_[register_b] = b_24_hours;
}

bool Rtc::running() const {
  return (ram_[register_b] & b_set) == 0 && (ram_[register_a] & a_divider) == a_divider_running;
}

i64 Rtc::unix_seconds() const { return base_seconds_ + static_cast<i64>(second_number(host_.now())); }

bool Rtc::update_in_progress() const {
  return running() && (host_.now().ps - base_ps_) % ps_per_second >= ps_per_second - update_warning_ps;
}

// Table 5, for the 32.768 kHz time base; 0 = none.
u64 Rtc::periodic_ticks() const {
  const unsigned rate = ram_[register_a] & 15;
  if (rate == 0) return 0;
  return u64{1} << (rate <= 2 ? rate + 6 : rate - 1);
}

u8 Rtc::encode(u64 value) const {
  if ((ram_[register_b] & b_binary) != 0) return static_cast<u8>(value);
  return static_cast<u8>(value / 10 % 10 << 4 | value % 10);
}

unsigned Rtc::decode(u8 value) const {
  return (ram_[register_b] & b_binary) != 0 ? value : (value >> 4) * 10u + (value & 15u);
}

u8 Rtc::encode_hour(unsigned hour) const {
  if ((ram_[register_b] & b_24_hours) != 0) return encode(hour);
  return static_cast<u8>(encode((hour + 11) % 12 + 1) | (hour >= 12 ? 0x80 : 0));
}

unsigned Rtc::decode_hour(u8 value) const {
  if ((ram_[register_b] & b_24_hours) != 0) return decode(value);
  return decode(value & 0x7f) % 12 + ((value & 0x80) != 0 ? 12 : 0);
}

void Rtc::store_time() {
  const i64 now = unix_seconds();
  const i64 days = floor_divide(now, seconds_per_day);
  const unsigned second = static_cast<unsigned>(now - days * seconds_per_day);
  const Date date = date_from_days(days);
  ram_[seconds] = encode(second % 60);
  ram_[minutes] = encode(second / 60 % 60);
  ram_[hours] = encode_hour(second / 3600);
  ram_[day_of_week] = encode(static_cast<u64>(days + 4 - floor_divide(days + 4, 7) * 7) + 1);
  ram_[day_of_month] = encode(date.day);
  ram_[month] = encode(date.month);
  ram_[year] = encode(static_cast<u64>(date.year) % 100);
  ram_[century_index] = encode(static_cast<u64>(date.year) / 100 % 100);
}

void Rtc::load_time() {
  const Date date{static_cast<i64>(decode(ram_[century_index])) * 100 + decode(ram_[year]),
                  std::clamp(decode(ram_[month]), 1u, 12u), std::max(decode(ram_[day_of_month]), 1u)};
  const i64 now = days_from_date(date) * seconds_per_day + decode_hour(ram_[hours]) * 3600 +
                  decode(ram_[minutes]) * 60 + decode(ram_[seconds]);
  base_seconds_ = now - static_cast<i64>(second_number(host_.now()));
}

// Alarm bytes C0h..FFh are "don't care".
bool Rtc::alarm_matches(i64 at) const {
  const unsigned second = static_cast<unsigned>(at - floor_divide(at, seconds_per_day) * seconds_per_day);
  const auto agrees = [](u8 byte, u8 wanted) { return byte >= 0xc0 || byte == wanted; };
  return agrees(ram_[seconds_alarm], encode(second % 60)) && agrees(ram_[minutes_alarm], encode(second / 60 % 60)) &&
         agrees(ram_[hours_alarm], encode_hour(second / 3600));
}

void Rtc::service() {
  const SimTime now = host_.now();
  const u64 ticks = periodic_ticks();
  u8& flags = ram_[register_c];
  if (ticks != 0 && oscillator.ticks(now) / ticks != oscillator.ticks(served_) / ticks) flags |= periodic_flag;
  if (running()) {
    const u64 first = second_number(served_);
    const u64 last = second_number(now);
    if (first != last) flags |= update_flag;
    // After a day without service every time of day has been seen.
    const u64 span = std::min<u64>(last - first, static_cast<u64>(seconds_per_day));
    for (u64 back = 0; back < span && (flags & alarm_flag) == 0; ++back) {
      if (alarm_matches(base_seconds_ + static_cast<i64>(last - back))) flags |= alarm_flag;
    }
  }
  served_ = now;
}

// The line follows the flags; the alarm is asked for only if a flag that is clear could raise it.
void Rtc::update() {
  u8& flags = ram_[register_c];
  const u8 enables = ram_[register_b] & b_enables;
  const bool level = (flags & enables) != 0;
  flags = static_cast<u8>(level ? flags | irq_flag : flags & ~irq_flag);
  if (level != irq_) {
    irq_ = level;
    host_.set_pin(pin_irq8, level);
  }
  const u8 awaited = enables & static_cast<u8>(~flags);
  SimTime next = SimTime::never();
  const u64 ticks = periodic_ticks();
  if ((awaited & periodic_flag) != 0 && ticks != 0) {
    next = oscillator.at((oscillator.ticks(served_) / ticks + 1) * ticks);
  }
  if ((awaited & (alarm_flag | update_flag)) != 0 && running()) {
    next = std::min(next, SimTime{base_ps_ + (second_number(served_) + 1) * ps_per_second});
  }
  host_.set_alarm(next);
}

void Rtc::alarm() {
  service();
  update();
}

u8 Rtc::read_data() {
  service();
  u8 value = ram_[index_];
  if (index_ == register_c) {
    ram_[register_c] = 0;
  } else if (index_ == register_d) {
    value = d_valid;
  } else if (index_ == register_a) {
    value = static_cast<u8>(value | (update_in_progress() ? a_update_in_progress : 0));
  } else if (index_ <= year || index_ == century_index) {
    if (running()) store_time();
    value = ram_[index_];
  }
  update();
  return value;
}

void Rtc::write_data(u8 value) {
  service();
  switch (index_) {
    case seconds:
    case minutes:
    case hours:
    case day_of_week:
    case day_of_month:
    case month:
    case year:
    case century_index:
      if (running()) {
        store_time();
        ram_[index_] = value;
        load_time();
      } else {
        ram_[index_] = value;
      }
      break;
    case register_a: write_register_a(value); break;
    case register_b: write_register_b(value); break;
    case register_c:
    case register_d: break;
    default: ram_[index_] = value; break;
  }
  update();
}

// A divider chain released from reset makes its first update half a second later.
void Rtc::write_register_a(u8 value) {
  const bool before = running();
  if (before) store_time();
  ram_[register_a] = value & 0x7f;
  if (!before && running()) {
    base_ps_ = host_.now().ps - ps_per_second / 2;
    load_time();
  }
}

void Rtc::write_register_b(u8 value) {
  const bool before = running();
  if (before) store_time();
  if ((value & b_set) != 0) value &= static_cast<u8>(~update_flag);
  ram_[register_b] = value;
  if (!before && running()) load_time();
}

u64 Rtc::read(unsigned /*region*/, u64 offset, unsigned size) {
  u64 value = 0;
  for (unsigned byte = 0; byte < size; ++byte) {
    value |= u64{offset + byte == 1 ? read_data() : u8{0xff}} << (8 * byte);
  }
  return value;
}

void Rtc::write(unsigned /*region*/, u64 offset, unsigned size, u64 value) {
  for (unsigned byte = 0; byte < size; ++byte) {
    const u8 data = static_cast<u8>(value >> (8 * byte));
    if (offset + byte == 0) {
      index_ = data & 0x7f;
      nmi_masked_ = (data & 0x80) != 0;
    } else if (offset + byte == 1) {
      write_data(data);
    }
  }
}

void Rtc::reset() {
  service();
  ram_[register_b] &= static_cast<u8>(~b_enables);
  ram_[register_c] = 0;
  nmi_masked_ = false;
  index_ = 0;
  update();
}

void Rtc::hash(StateHash& hash) const {
  hash.add(ram_);
  for (const u64 word :
       {u64{index_}, u64{nmi_masked_}, static_cast<u64>(base_seconds_), base_ps_, served_.ps, u64{irq_}}) {
    hash.add(word);
  }
}

}  // namespace bunshin
