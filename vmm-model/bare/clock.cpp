#include "vmm-model/bare/clock.h"

#include <initializer_list>

namespace bunshin::vmm::bare {

namespace {

constexpr u64 apic = 0xfee0'0000, apic_eoi = apic + 0xb0, apic_spurious = apic + 0xf0, apic_timer = apic + 0x320,
              apic_initial = apic + 0x380, apic_current = apic + 0x390, apic_divide = apic + 0x3e0;
constexpr u32 apic_enable = 1 << 8, masked = 1 << 16, divide_by_1 = 0xb, longest = 0xffff'ffff;
// ACPI's power-management timer (ACPI 6.4, 4.8.3.3) is the reference: 24 bits, where QEMU's boards and ours have it.
constexpr u16 pm_timer = 0x608;
constexpr u64 pm_hertz = 3'579'545, pm_mask = 0xff'ffff;

struct Sample {
  u64 tsc = 0;
  u32 apic = 0, pm = 0;
};

/// All three counters at one moment: the attempt that took the shortest, because an emulated machine may be interrupted.
Sample sample() {
  constexpr unsigned attempts = 8;
  Sample best;
  u64 shortest = ~u64{0};
  for (unsigned i = 0; i < attempts; ++i) {
    const u64 before = read_tsc();
    const Sample now{before, read_register(apic_current), in32(pm_timer)};
    const u64 took = read_tsc() - before;
    if (took >= shortest) continue;
    shortest = took;
    best = now;
    best.tsc += took / 2;
  }
  return best;
}

void mask_pics() {
  for (const u16 base : {u16{0x20}, u16{0xa0}}) {
    out8(base, 0x11);
    out8(base + 1, base == 0x20 ? 0x20 : 0x28);
    out8(base + 1, base == 0x20 ? 4 : 2);
    out8(base + 1, 1);
    out8(base + 1, 0xff);
  }
}

}  // namespace

MachineClock::MachineClock() {
  mask_pics();
  write_register(apic_spurious, apic_enable | spurious_vector);
  write_register(apic_divide, divide_by_1);
  write_register(apic_timer, masked | timer_vector);
  calibrate();
  write_register(apic_timer, timer_vector);
  write_register(apic_initial, 0);
  origin_ = read_tsc();
}

void MachineClock::calibrate() {
  constexpr u64 window = pm_hertz / 50;
  write_register(apic_initial, longest);
  const Sample first = sample();
  while (((in32(pm_timer) - first.pm) & pm_mask) < window) {}
  const Sample last = sample();
  const u64 passed = (last.pm - first.pm) & pm_mask;
  tsc_.hertz = (last.tsc - first.tsc) * pm_hertz / passed;
  apic_.hertz = (first.apic - last.apic) * pm_hertz / passed;
}

void MachineClock::set_timer(SimTime at) {
  const SimTime time = now();
  u64 count = 0;
  if (at != SimTime::never()) {
    count = at > time ? apic_.ticks(at - time) + 1 : 1;
    if (count > longest) count = longest;
  }
  write_register(apic_initial, static_cast<u32>(count));
}

void MachineClock::end_of_interrupt() { write_register(apic_eoi, 0); }

}  // namespace bunshin::vmm::bare
