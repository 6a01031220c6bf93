#include "devices/system_control.h"

namespace bunshin {
namespace {

constexpr u8 port_a_fast_reset = 0x01;
constexpr u8 port_a_a20 = 0x02;
constexpr u8 reset_cpu = 0x04;   // ICH9 13.7.5: a 0→1 transition resets
constexpr u8 reset_mask = 0x0e;  // SYS_RST, RST_CPU, FULL_RST

}  // namespace

u64 SystemControl::read(unsigned region, u64, unsigned) { return region == 0 ? port_a_ : reset_control_; }

void SystemControl::write(unsigned region, u64, unsigned, u64 value) {
  const u8 byte = static_cast<u8>(value);
  if (region == 0) {
    const u8 old = port_a_;
    port_a_ = byte;
    if (((old ^ byte) & port_a_a20) != 0) host_.set_pin(pin_a20, (byte & port_a_a20) != 0);
    if ((byte & port_a_fast_reset) != 0 && (old & port_a_fast_reset) == 0) host_.set_pin(pin_reset, true);
    return;
  }
  const bool rising = (byte & reset_cpu) != 0 && (reset_control_ & reset_cpu) == 0;
  reset_control_ = byte & reset_mask;
  if (rising) host_.set_pin(pin_reset, true);
}

void SystemControl::reset() {
  port_a_ = port_a_a20;
  reset_control_ = 0;
}

}  // namespace bunshin
