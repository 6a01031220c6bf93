// Interrupts from the 8254 through the 8259A, and from the local APIC.

#include "guests/runtime/apic.h"
#include "guests/selftest/selftest.h"

namespace guest {

namespace {

constexpr unsigned timer_vector = 0x40, self_vector = 0x41;
constexpr u32 periodic = 1u << 17, fixed_to_self = 0x4'4000;
constexpr u16 pit_control = 0x43, pit_channel0 = 0x40;
constexpr u16 ten_milliseconds = 11932;

volatile u32 interrupts = 0;

void on_pit(Frame&) {
  interrupts = interrupts + 1;
  end_of_pic_interrupt();
}

void on_apic(Frame&) {
  interrupts = interrupts + 1;
  end_of_interrupt();
}

void wait_for(u32 count) {
  while (interrupts < count) wait_for_interrupt();
}

bool pit_interrupts() {
  initialize_pics(1);
  enable_apic(true);
  set_handler(pic_vector, on_pit);
  interrupts = 0;
  out8(pit_control, 0x34);  // channel 0, both bytes, mode 2
  out8(pit_channel0, ten_milliseconds & 0xff);
  out8(pit_channel0, ten_milliseconds >> 8);
  const u64 start = read_tsc();
  wait_for(3);
  const bool time_passed = read_tsc() > start;
  initialize_pics(0);
  return time_passed;
}

bool apic_one_shot() {
  set_handler(timer_vector, on_apic);
  interrupts = 0;
  write_apic(ApicRegister::DivideConfiguration, 0xb);
  write_apic(ApicRegister::Timer, timer_vector);
  write_apic(ApicRegister::InitialCount, 100'000);
  wait_for(1);
  return read_apic(ApicRegister::CurrentCount) == 0 && interrupts == 1;
}

bool apic_periodic() {
  interrupts = 0;
  write_apic(ApicRegister::Timer, periodic | timer_vector);
  write_apic(ApicRegister::InitialCount, 100'000);
  wait_for(3);
  write_apic(ApicRegister::InitialCount, 0);
  return true;
}

bool interrupts_itself() {
  set_handler(self_vector, on_apic);
  interrupts = 0;
  send_command(0, fixed_to_self | self_vector);
  wait_for(1);
  return interrupts == 1;
}

bool holds_interrupts_back() {
  interrupts = 0;
  send_command(0, fixed_to_self | self_vector);
  for (int i = 0; i < 1000; ++i) pause();
  const bool held = interrupts == 0;
  wait_for(1);
  return held;
}

constexpr Check checks[] = {
    {"8254 through the 8259A", pit_interrupts}, {"APIC timer, once", apic_one_shot},
    {"APIC timer, periodic", apic_periodic},    {"interrupt to itself", interrupts_itself},
    {"interrupts off", holds_interrupts_back},
};

}  // namespace

unsigned check_timers() {
  const unsigned failed = run_checks("timers", checks);
  disable_interrupts();
  return failed;
}

}  // namespace guest
