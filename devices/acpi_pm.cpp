#include "devices/acpi_pm.h"

namespace bunshin {
namespace {

constexpr Clock pm_clock{3'579'545};  // ACPI 4.8.2.1
constexpr unsigned timer_msb = 23;    // 24-bit timer: TMR_STS follows bit 23
constexpr u16 timer_status = 1 << 0;  // 4.8.3.1.1
constexpr u16 power_button_status = 1 << 8;
constexpr u16 rtc_status = 1 << 10;
constexpr u16 wake_status = 1 << 15;
constexpr u16 status_bits = 1 << 0 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 15;
constexpr u16 enable_bits = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 10;
constexpr u16 control_sci = 1 << 0;
constexpr u16 control_sleep = 1 << 13;

}  // namespace

void AcpiPm::reset() {
  status_ = enable_ = control_ = 0;
  gpe_status_ = gpe_enable_ = 0;
  suspended_ = false;
  smi_enable_ = 0;
  smi_command_ = smi_status_ = 0;
  half_period_ = pm_clock.ticks(host_.now()) >> timer_msb;
  update();
}

u32 AcpiPm::timer() const { return static_cast<u32>(pm_clock.ticks(host_.now())) & 0xff'ffff; }

void AcpiPm::follow_timer() {
  const u64 half_period = pm_clock.ticks(host_.now()) >> timer_msb;
  if (half_period != half_period_) status_ |= timer_status;
  half_period_ = half_period;
}

void AcpiPm::update() {
  follow_timer();
  const bool waits = (enable_ & timer_status) != 0 && (status_ & timer_status) == 0;
  host_.set_alarm(waits ? pm_clock.at((half_period_ + 1) << timer_msb) : SimTime::never());
  const bool level = (control_ & control_sci) != 0 && ((status_ & enable_) != 0 || (gpe_status_ & gpe_enable_) != 0);
  if (level == sci_) return;
  sci_ = level;
  host_.set_pin(pin_sci, level);
}

void AcpiPm::alarm() { update(); }

void AcpiPm::press_power_button() {
  status_ |= power_button_status;
  wake_up();
  update();
}

void AcpiPm::set_input(unsigned pin, bool level) {
  if (pin != 0 || !level || !suspended_ || (enable_ & rtc_status) == 0) return;
  status_ |= rtc_status;
  wake_up();
  update();
}

// 4.8.3.1.1, WAK_STS.
void AcpiPm::wake_up() {
  if (suspended_) status_ |= wake_status;
  suspended_ = false;
}

u8 AcpiPm::read_byte(u64 offset) {
  const auto byte_of = [offset](u64 value, u64 base) { return static_cast<u8>(value >> (8 * (offset - base))); };
  if (offset < 0x02) return byte_of(status_, 0x00);
  if (offset < 0x04) return byte_of(enable_, 0x02);
  if (offset < 0x08) return byte_of(control_, 0x04);
  if (offset < 0x0c) return byte_of(timer(), 0x08);
  if (offset >= 0x20 && offset < 0x28) return byte_of(gpe_status_, 0x20);
  if (offset >= 0x28 && offset < 0x30) return byte_of(gpe_enable_, 0x28);
  if (offset >= 0x30 && offset < 0x34) return byte_of(smi_enable_, 0x30);
  return 0;
}

u64 AcpiPm::read(unsigned region, u64 offset, unsigned size) {
  if (region == 1) return offset == 0 ? smi_command_ : smi_status_;
  follow_timer();
  u64 value = 0;
  for (unsigned i = 0; i < size; ++i) value |= u64{read_byte(offset + i)} << (8 * i);
  update();
  return value;
}

void AcpiPm::write_control(u16 value) {
  control_ = static_cast<u16>((value & 0x1c06) | (control_ & control_sci));
  if ((value & control_sleep) == 0) return;
  const unsigned type = (value >> 10) & 7;
  if (type == soft_off_type) host_.set_pin(pin_power_off, true);
  if (type != suspend_type) return;
  suspended_ = true;
  status_ &= static_cast<u16>(~wake_status);
  host_.set_pin(pin_suspend, true);
}

void AcpiPm::write_byte(u64 offset, u8 value) {
  const auto put = [offset, value](u64 old, u64 base) {
    const unsigned shift = static_cast<unsigned>(8 * (offset - base));
    return (old & ~(u64{0xff} << shift)) | u64{value} << shift;
  };
  const auto clear = [offset, value](u64 old, u64 base) { return old & ~(u64{value} << (8 * (offset - base))); };
  if (offset < 0x02) {
    status_ = static_cast<u16>(clear(status_, 0x00) & status_bits);
  } else if (offset < 0x04) {
    enable_ = static_cast<u16>(put(enable_, 0x02) & enable_bits);
  } else if (offset < 0x06) {
    const u16 word = static_cast<u16>(put(control_, 0x04));
    write_control(word);
  } else if (offset >= 0x20 && offset < 0x28) {
    gpe_status_ = clear(gpe_status_, 0x20);
  } else if (offset >= 0x28 && offset < 0x30) {
    gpe_enable_ = put(gpe_enable_, 0x28);
  } else if (offset >= 0x30 && offset < 0x34) {
    smi_enable_ = static_cast<u32>(put(smi_enable_, 0x30));
  }
}

void AcpiPm::write(unsigned region, u64 offset, unsigned size, u64 value) {
  if (region == 1) {
    for (unsigned i = 0; i < size; ++i) {
      const u8 byte = static_cast<u8>(value >> (8 * i));
      if (offset + i == 1) smi_status_ = byte;
      if (offset + i != 0) continue;
      // Firmware's SMI handler would do this (ACPI 4.8.2.5, SMI_CMD).
      smi_command_ = byte;
      if (byte == acpi_enable) control_ |= control_sci;
      if (byte == acpi_disable) control_ &= static_cast<u16>(~control_sci);
    }
  } else {
    follow_timer();
    for (unsigned i = 0; i < size; ++i) write_byte(offset + i, static_cast<u8>(value >> (8 * i)));
  }
  update();
}

void AcpiPm::hash(StateHash& hash) const {
  hash.add(u64{status_} << 48 | u64{enable_} << 32 | u64{control_} << 16 | u64{smi_command_} << 8 | smi_status_);
  hash.add(gpe_status_);
  hash.add(gpe_enable_);
  hash.add(u64{smi_enable_} << 2 | u64{suspended_} << 1 | u64{sci_});
  hash.add(half_period_);
}

}  // namespace bunshin
