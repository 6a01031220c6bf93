#include "vmm-model/machine/clock.h"

#include <initializer_list>

namespace bunshin::vmm {

namespace {

constexpr u64 apic = 0xfee0'0000, apic_spurious = apic + 0xf0, apic_timer = apic + 0x320, apic_initial = apic + 0x380,
              apic_current = apic + 0x390, apic_divide = apic + 0x3e0;
constexpr u32 apic_enable = 1 << 8, masked = 1 << 16, divide_by_1 = 0xb, longest = 0xffff'ffff;
// ACPI's power-management timer (ACPI 6.4, 4.8.3.3) is the reference: 24 bits, where QEMU's boards and ours have it.
constexpr u16 pm_timer = 0x608;
constexpr u64 pm_hertz = 3'579'545, pm_mask = 0xff'ffff;

}  // namespace

// All three counters at one moment: the attempt that took the shortest, because an emulated machine may be interrupted.
MachineClock::Sample MachineClock::sample() {
  constexpr unsigned attempts = 8;
  Sample best;
  u64 shortest = ~u64{0};
  for (unsigned i = 0; i < attempts; ++i) {
    const u64 before = machine_.time_stamp();
    const u32 apic_count = machine_.read_register(apic_current);
    const Sample now{before, apic_count, machine_.in(pm_timer, 4)};
    const u64 took = machine_.time_stamp() - before;
    if (took >= shortest) continue;
    shortest = took;
    best = now;
    best.tsc += took / 2;
  }
  return best;
}

void MachineClock::mask_pics() {
  for (const u16 base : {u16{0x20}, u16{0xa0}}) {
    const u16 mask = base + 1;
    machine_.out(base, 1, 0x11);
    machine_.out(mask, 1, base == 0x20 ? 0x20 : 0x28);
    machine_.out(mask, 1, base == 0x20 ? 4 : 2);
    machine_.out(mask, 1, 1);
    machine_.out(mask, 1, 0xff);
  }
}

void MachineClock::start() {
  mask_pics();
  machine_.write_register(apic_spurious, apic_enable | spurious_vector);
  machine_.write_register(apic_divide, divide_by_1);
  machine_.write_register(apic_timer, masked | timer_vector);
  calibrate();
  machine_.write_register(apic_timer, timer_vector);
  machine_.write_register(apic_initial, 0);
  origin_ = machine_.time_stamp();
}

void MachineClock::calibrate() {
  constexpr u64 window = pm_hertz / 50;
  machine_.write_register(apic_initial, longest);
  const Sample first = sample();
  while (((machine_.in(pm_timer, 4) - first.pm) & pm_mask) < window) {}
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
  machine_.write_register(apic_initial, static_cast<u32>(count));
}

}  // namespace bunshin::vmm
