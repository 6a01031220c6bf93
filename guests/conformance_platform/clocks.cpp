// The clocks against each other: 8254 (datasheet), MC146818A, HPET (IA-PC HPET 1.0a), ACPI timer, local APIC timer, TSC.
// All must agree on how long a second is; the tolerance is QEMU's, whose clocks follow the host's.

#include "guests/conformance_platform/platform.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

constexpr u16 pit0 = 0x40, pit2 = 0x42, pit_control = 0x43, port_b = 0x61, rtc_index = 0x70, rtc_data = 0x71;
constexpr u32 pm_hertz = 3'579'545, pit_hertz = 1'193'182;
constexpr u64 hpet = 0xfed0'0000;
constexpr unsigned rtc_vector = 0x58, hpet_vector = 0x59;
constexpr u64 masked = 1 << 16;

u64 tsc_hertz = 0;

bool near(u64 value, u64 expected) {
  const u64 slack = expected / 10;
  if (value + slack >= expected && value <= expected + slack) return true;
  print(value, " for ", expected, " ");
  return false;
}

u8 rtc(u8 index) {
  out8(rtc_index, index);
  return in8(rtc_data);
}

void set_rtc(u8 index, u8 value) {
  out8(rtc_index, index);
  out8(rtc_data, value);
}

u16 pit_count(unsigned channel) {
  out8(pit_control, static_cast<u8>(channel << 6));
  const u8 low = in8(static_cast<u16>(pit0 + channel));
  return static_cast<u16>(low | in8(static_cast<u16>(pit0 + channel)) << 8);
}

bool pm_timer_counts() {
  tsc_hertz = tsc_in_pm_ticks(pm_hertz / 50) * 50;
  return tsc_hertz > 10'000'000;
}

/// Channel 2 in mode 0, its output read at port 61H: how firmware and kernels calibrate the TSC.
bool pit_one_shot_takes_its_time() {
  out8(port_b, (in8(port_b) & 0xfc) | 1);
  out8(pit_control, 0xb0);
  const u16 count = pit_hertz / 50;
  out8(pit2, count & 0xff);
  out8(pit2, count >> 8);
  const bool low = (in8(port_b) & 0x20) == 0;
  const u64 start = read_tsc();
  while ((in8(port_b) & 0x20) == 0) {}
  return near((read_tsc() - start) * 50, tsc_hertz) && low;
}

bool pit_gate_stops() {
  out8(port_b, in8(port_b) & 0xfc);
  out8(pit_control, 0xb0);
  out8(pit2, 0xff);
  out8(pit2, 0xff);
  tsc_in_pm_ticks(100);
  const u16 before = pit_count(2);
  tsc_in_pm_ticks(1000);
  return pit_count(2) == before;
}

bool pit_reads_back() {
  out8(pit_control, 0x34);
  out8(pit0, 0);
  out8(pit0, 0);
  tsc_in_pm_ticks(100);
  out8(pit_control, 0xc2);  // count and status of channel 0
  const u8 status = in8(pit0);
  const u16 low = in8(pit0);
  const u16 first = static_cast<u16>(low | in8(pit0) << 8);
  const u16 second = pit_count(0);
  return (status & 0x7f) == 0x34 && static_cast<u16>(first - second) < 0x4000;
}

bool rtc_second_takes_its_time() {
  const auto next_second = [] {
    const u8 now = rtc(0);
    while (rtc(0) == now) {}
    return read_tsc();
  };
  const u64 start = next_second();
  return near(next_second() - start, tsc_hertz);
}

bool rtc_announces_updates() {
  while ((rtc(10) & 0x80) != 0) {}
  while ((rtc(10) & 0x80) == 0) {}
  const u64 start = read_tsc();
  while ((rtc(10) & 0x80) != 0) {}
  return read_tsc() - start < tsc_hertz / 100;
}

bool rtc_date_is_sensible() {
  const bool bcd = (rtc(11) & 4) == 0;
  const u8 month = rtc(8), day = rtc(7), century = rtc(0x32);
  return bcd && month >= 1 && month <= 0x12 && day >= 1 && day <= 0x31 && (century == 0x19 || century == 0x20);
}

bool rtc_keeps_bytes() {
  set_rtc(0x70, 0x5c);
  return rtc(0x70) == 0x5c && (rtc(13) & 0x80) != 0;
}

void on_rtc(Frame&) {
  rtc(12);
  interrupts = interrupts + 1;
  end_of_interrupt();
}

void wait_for(u32 count) {
  while (interrupts < count) wait_for_interrupt();
}

bool rtc_interrupts_periodically() {
  set_handler(rtc_vector, on_rtc);
  interrupts = 0;
  rtc(12);
  write_redirection(8, rtc_vector);
  set_rtc(10, 0x26);  // 1024 Hz
  set_rtc(11, 0x42);
  wait_for(1);
  const u64 start = read_tsc();
  wait_for(65);
  const u64 took = read_tsc() - start;
  set_rtc(11, 0x02);
  write_redirection(8, masked);
  return near(took * 16, tsc_hertz);
}

bool rtc_alarm_rings() {
  set_handler(rtc_vector, on_rtc);
  interrupts = 0;
  rtc(12);
  write_redirection(8, rtc_vector);
  for (u8 alarm = 1; alarm <= 5; alarm = static_cast<u8>(alarm + 2)) set_rtc(alarm, 0xc0);
  set_rtc(11, 0x22);
  wait_for(1);
  set_rtc(11, 0x02);
  write_redirection(8, masked);
  return true;
}

bool hpet_counts() {
  mmio(hpet + 0x10) = 1;
  const u64 period = mmio(hpet + 4);
  const u32 first = mmio(hpet + 0xf0);
  tsc_in_pm_ticks(pm_hertz / 50);
  const u64 femtoseconds = (mmio(hpet + 0xf0) - first) * period;
  return near(femtoseconds / 1'000'000'000, 20'000);
}

bool hpet_interrupts() {
  count_interrupts(hpet_vector);
  write_redirection(2, hpet_vector);
  mmio(hpet + 0x10) = 1;
  mmio(hpet + 0x100) = 2 << 9 | 1 << 2;  // input 2, enabled, one shot
  mmio(hpet + 0x108) = mmio(hpet + 0xf0) + 100'000;
  wait_for(1);
  mmio(hpet + 0x100) = 0;
  write_redirection(2, masked);
  return interrupts == 1;
}

bool pit_interrupts_through_io_apic() {
  count_interrupts(rtc_vector);
  write_redirection(2, rtc_vector);
  out8(pit_control, 0x34);
  out8(pit0, (pit_hertz / 1000) & 0xff);
  out8(pit0, (pit_hertz / 1000) >> 8);
  wait_for(1);
  const u64 start = read_tsc();
  wait_for(51);
  const u64 took = read_tsc() - start;
  write_redirection(2, masked);
  return near(took * 20, tsc_hertz);
}

bool apic_timer_is_steady() {
  write_apic(ApicRegister::DivideConfiguration, 0xb);
  write_apic(ApicRegister::Timer, 0x1'0000);
  write_apic(ApicRegister::InitialCount, 0xffff'ffff);
  tsc_in_pm_ticks(pm_hertz / 50);
  const u32 first = 0xffff'ffff - read_apic(ApicRegister::CurrentCount);
  tsc_in_pm_ticks(pm_hertz / 50);
  const u32 second = 0xffff'ffff - read_apic(ApicRegister::CurrentCount);
  write_apic(ApicRegister::InitialCount, 0);
  return near(second, u64{first} * 2);
}

constexpr Check checks[] = {
    {"ACPI timer", pm_timer_counts},
    {"8254, one shot", pit_one_shot_takes_its_time},
    {"8254's gate", pit_gate_stops},
    {"8254, read back", pit_reads_back},
    {"8254 through the IOAPIC", pit_interrupts_through_io_apic},
    {"real-time clock's second", rtc_second_takes_its_time},
    {"real-time clock's updates", rtc_announces_updates},
    {"real-time clock's date", rtc_date_is_sensible},
    {"real-time clock's memory", rtc_keeps_bytes},
    {"real-time clock, periodic", rtc_interrupts_periodically},
    {"real-time clock's alarm", rtc_alarm_rings},
    {"HPET", hpet_counts},
    {"HPET's interrupt", hpet_interrupts},
    {"APIC timer", apic_timer_is_steady},
};

}  // namespace

unsigned check_clocks() { return run_checks("clocks", checks); }

}  // namespace guest
