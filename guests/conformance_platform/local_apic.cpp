// The local APIC (Intel SDM vol. 3, chapter 10): switched off and on, priorities, IPIs, timer, x2APIC.

#include "guests/conformance_platform/platform.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/console.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

constexpr u32 base_msr = 0x1b;
constexpr u64 enable = 1 << 11, x2apic = 1 << 10, apic = 0xfee0'0000;
constexpr u32 tpr = 0x80, ppr = 0xa0, irr = 0x200, isr = 0x100, svr = 0xf0, ldr = 0xd0, dfr = 0xe0;
constexpr u32 to_self = 0x4'4000, nmi = 0x400;
constexpr unsigned vector = 0x51, high_vector = 0x91;

volatile u32 nmis = 0, served_in = 0;

void on_nmi(Frame&) { nmis = nmis + 1; }

u32 word_of(u32 set, unsigned number) { return mmio(apic + set + (number / 32) * 16); }
bool in_set(u32 set, unsigned number) { return (word_of(set, number) >> (number % 32) & 1) != 0; }

void on_nested(Frame&) {
  served_in = in_set(isr, vector) ? mmio(apic + ppr) : 0;
  interrupts = interrupts + 1;
  end_of_interrupt();
}

bool has_x2apic() { return (cpuid(1).ecx >> 21 & 1) != 0; }

bool version_is_integrated() {
  const u32 version = read_apic(ApicRegister::Version);
  return (version & 0xff) >= 0x10 && (version & 0xff) <= 0x15 && (version >> 16 & 0xff) >= 4;
}

bool id_agrees_with_cpuid() { return read_apic(ApicRegister::Id) >> 24 == cpuid(1).ebx >> 24; }
bool is_bootstrap_processor() { return (read_msr(base_msr) & (1 << 8 | enable)) == (1 << 8 | enable); }

bool interrupts_itself() {
  count_interrupts(vector);
  send_command(0, to_self | vector);
  open_window();
  return interrupts == 1;
}

bool shows_requests() {
  count_interrupts(vector);
  send_command(0, to_self | vector);
  const bool requested = in_set(irr, vector);
  open_window();
  return requested && interrupts == 1 && !in_set(irr, vector) && !in_set(isr, vector);
}

bool shows_service() {
  set_handler(vector, on_nested);
  interrupts = 0;
  send_command(0, to_self | vector);
  open_window();
  return served_in == (vector & 0xf0);
}

bool priority_holds_back() {
  count_interrupts(vector);
  count_interrupts(high_vector);
  mmio(apic + tpr) = 0x60;
  send_command(0, to_self | vector);
  send_command(0, to_self | high_vector);
  open_window();
  const bool one = interrupts == 1 && in_set(irr, vector);
  mmio(apic + tpr) = 0;
  open_window();
  return one && interrupts == 2;
}

bool cr8_is_the_priority() {
  u64 value = 9;
  asm volatile("mov %0, %%cr8" : : "r"(value));
  const bool shown = mmio(apic + tpr) == 0x90;
  mmio(apic + tpr) = 0x20;
  asm volatile("mov %%cr8, %0" : "=r"(value));
  mmio(apic + tpr) = 0;
  return shown && value == 2;
}

bool nmi_to_itself() {
  set_handler(2, on_nmi);
  nmis = 0;
  send_command(read_apic(ApicRegister::Id) >> 24, nmi | 0x4000);
  for (int i = 0; i < 1'000'000 && nmis == 0; ++i) pause();
  set_handler(2, nullptr);
  return nmis == 1;
}

bool logical_destination() {
  count_interrupts(vector);
  const u32 before = mmio(apic + ldr);
  mmio(apic + dfr) = 0xffff'ffff;
  mmio(apic + ldr) = 0x0400'0000;
  send_command(0x04, 1 << 11 | 0x4000 | vector);
  open_window();
  const bool met = interrupts == 1;
  send_command(0x08, 1 << 11 | 0x4000 | vector);
  open_window();
  mmio(apic + ldr) = before;
  return met && interrupts == 1;
}

bool broadcast_reaches_itself() {
  count_interrupts(vector);
  send_command(0xff, 0x4000 | vector);
  open_window();
  return interrupts == 1;
}

bool timer_counts_down() {
  count_interrupts(vector);
  write_apic(ApicRegister::DivideConfiguration, 0xb);
  write_apic(ApicRegister::Timer, vector);
  write_apic(ApicRegister::InitialCount, 10'000'000);
  const u32 first = read_apic(ApicRegister::CurrentCount);
  tsc_in_pm_ticks(100);
  const u32 second = read_apic(ApicRegister::CurrentCount);
  write_apic(ApicRegister::InitialCount, 0);
  return first <= 10'000'000 && second < first && read_apic(ApicRegister::CurrentCount) == 0 && interrupts == 0;
}

bool masked_timer_still_counts() {
  count_interrupts(vector);
  write_apic(ApicRegister::Timer, 0x1'0000 | vector);
  write_apic(ApicRegister::InitialCount, 1000);
  while (read_apic(ApicRegister::CurrentCount) != 0) pause();
  write_apic(ApicRegister::Timer, vector);
  open_window();
  return interrupts == 0;
}

bool disabled_by_software_masks_entries() {
  write_apic(ApicRegister::Timer, vector);
  mmio(apic + svr) = spurious_vector;
  const bool masked =
      (read_apic(ApicRegister::Timer) & 0x1'0000) != 0 && (read_apic(ApicRegister::Lint0) & 0x1'0000) != 0;
  enable_apic(false);
  return masked;
}

/// A kernel that switches its APIC off and on again starts from the power-up state.
bool off_and_on() {
  const u64 base = read_msr(base_msr);
  write_apic(ApicRegister::Timer, vector);
  write_msr(base_msr, base & ~enable);
  const bool off = (cpuid(1).edx & 1 << 9) == 0 && (read_msr(base_msr) & enable) == 0;
  const bool silent = mmio(apic + 0x30) == 0xffff'ffff;
  write_msr(base_msr, base);
  const bool on = (cpuid(1).edx & 1 << 9) != 0 && version_is_integrated();
  const bool fresh = mmio(apic + svr) == 0xff;
  enable_apic(false);
  return off && silent && on && fresh && interrupts_itself();
}

void write_base(u64 value) { write_msr(base_msr, value); }

bool reserved_base_bits_fault() {
  const u64 base = read_msr(base_msr);
  return attempt(write_base, base | 1).vector == 13 && attempt(write_base, base | u64{1} << 62).vector == 13;
}

bool x2apic_modes() {
  if (!has_x2apic()) return true;
  const u64 base = read_msr(base_msr);
  write_msr(base_msr, base | x2apic);
  const bool id = read_msr(0x802) == cpuid(1).ebx >> 24 && (read_msr(0x803) & 0xff) >= 0x10;
  const bool no_way_back = attempt(write_base, base).vector == 13;
  write_msr(0x80f, 0x1ff);
  count_interrupts(vector);
  set_handler(vector, [](Frame&) {
    interrupts = interrupts + 1;
    write_msr(0x80b, 0);
  });
  write_msr(0x83f, vector);
  open_window();
  const bool self = interrupts == 1;
  write_msr(0x830, u64{read_msr(0x802)} << 32 | 0x4000 | vector);
  open_window();
  const bool addressed = interrupts == 2;
  write_msr(0x830, u64{0xffff'ffff} << 32 | 0x4000 | vector);
  open_window();
  const bool broadcast = interrupts == 3;
  write_msr(base_msr, base & ~(enable | x2apic));
  const bool not_from_off = attempt(write_base, base | x2apic).vector == 13;
  write_msr(base_msr, base);
  enable_apic(false);
  return id && no_way_back && self && addressed && broadcast && not_from_off;
}

bool deadline_in_the_past_interrupts() {
  if ((cpuid(1).ecx >> 24 & 1) == 0) return true;
  count_interrupts(vector);
  write_apic(ApicRegister::Timer, 1 << 18 | vector);
  write_msr(0x6e0, read_tsc());
  open_window();
  const bool came = interrupts == 1 && read_msr(0x6e0) == 0;
  write_msr(0x6e0, read_tsc() + 100'000);
  while (interrupts < 2) wait_for_interrupt();
  write_apic(ApicRegister::Timer, 0x1'0000);
  return came;
}

constexpr Check checks[] = {
    {"version", version_is_integrated},
    {"id", id_agrees_with_cpuid},
    {"bootstrap processor", is_bootstrap_processor},
    {"to itself", interrupts_itself},
    {"request register", shows_requests},
    {"in service", shows_service},
    {"task priority", priority_holds_back},
    {"CR8", cr8_is_the_priority},
    {"NMI", nmi_to_itself},
    {"logical destination", logical_destination},
    {"broadcast", broadcast_reaches_itself},
    {"timer", timer_counts_down},
    {"masked timer", masked_timer_still_counts},
    {"disabled by software", disabled_by_software_masks_entries},
    {"off and on", off_and_on},
    {"reserved bits", reserved_base_bits_fault},
    {"x2APIC", x2apic_modes},
    {"TSC deadline", deadline_in_the_past_interrupts},
};

}  // namespace

unsigned check_local_apic() {
  enable_apic(false);
  return run_checks("local APIC", checks);
}

}  // namespace guest
