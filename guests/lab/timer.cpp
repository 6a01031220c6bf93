#include "guests/lab/timer.h"

namespace lab {

namespace {

constexpr u32 input_hz = 1'193'182;
constexpr u16 channel0 = 0x40, control = 0x43;
constexpr u8 channel0_rate_generator = 0x34;  // both bytes, mode 2

word count = 0;

}  // namespace

void start_timer() {
  constexpr u32 divisor = input_hz / ticks_a_second;
  guest::out8(control, channel0_rate_generator);
  guest::out8(channel0, divisor & 0xff);
  guest::out8(channel0, divisor >> 8);
}

word count_tick() { return ++count; }
word ticks() { return count; }

}  // namespace lab
