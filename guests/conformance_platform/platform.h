#pragma once

// Checks of the board as software made for QEMU's PC meets it. Like the self-test it prints nothing that depends on
// speed or model. Where QEMU 7.2 without KVM departs from the datasheets the checks follow these: the 8254's gate, the
// entries of a local APIC disabled by software, IA32_APIC_BASE's reserved bits and its enable bit in CPUID.

#include "guests/runtime/processor.h"

namespace guest {

struct Check {
  const char* name;
  bool (*passes)();
};

/// Runs and reports the checks of one group; returns how many failed.
unsigned run_checks(const char* group, const Check* checks, unsigned count);

template <unsigned count>
unsigned run_checks(const char* group, const Check (&checks)[count]) {
  return run_checks(group, checks, count);
}

unsigned check_boot();
unsigned check_firmware();
unsigned check_interrupt_controllers();
unsigned check_clocks();
unsigned check_peripherals();
unsigned check_local_apic();
unsigned check_processors();

inline u32 in32(u16 port) {
  u32 value;
  asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

inline volatile u32& mmio(u64 address) {
  asm("" : "+r"(address));  // GCC takes constants in the first page for mistakes
  return *reinterpret_cast<volatile u32*>(address);
}

template <class T>
T load(u64 address) {
  T value;
  const auto* from = reinterpret_cast<const volatile u8*>(address);
  auto* to = reinterpret_cast<u8*>(&value);
  for (unsigned i = 0; i < sizeof(T); ++i) to[i] = from[i];
  return value;
}

/// Lets whatever is pending happen. A hypervisor may take a while to deliver what hardware delivers at once.
inline void open_window() {
  asm volatile("sti" : : : "memory");
  for (int i = 0; i < 1000; ++i) asm volatile("pause" : : : "memory");
  asm volatile("cli" : : : "memory");
}

/// Item of fw_cfg, little endian.
u64 firmware_value(u16 item, unsigned bytes);

/// The address of the ACPI table with this signature; 0 if there is none.
u64 find_table(const char* signature);
/// The ACPI power-management timer's port, from the FADT.
u16 pm_timer_port();
/// TSC counts in `ticks` of the power-management timer (3.579545 MHz).
u64 tsc_in_pm_ticks(u32 ticks);

void write_redirection(unsigned pin, u64 entry);
u64 read_redirection(unsigned pin);
/// Line `pin` of QEMU's pc-testdev.
void set_test_line(unsigned pin, bool level);

/// Interrupts counted by the handler that count_interrupts() installs.
extern volatile u32 interrupts;
/// Counts and ends interrupts of this vector of the local APIC.
void count_interrupts(unsigned vector);

}  // namespace guest
