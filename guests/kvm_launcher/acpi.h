#pragma once

// The smallest ACPI firmware (ACPI 6.4, chapter 5) by which Linux finds the processors, the I/O APIC and the power-off.

#include "guests/kvm_launcher/machine.h"

namespace launcher {

/// Fixed hardware (4.8.3). Values of SLP_TYP other than power_off_type mean nothing here.
namespace acpi {
inline constexpr std::uint16_t status_port = 0x600, control_port = 0x604, timer_port = 0x608, reset_port = 0x64;
inline constexpr std::uint8_t reset_value = 0xfe, power_off_type = 5;
}  // namespace acpi

/// Puts the tables at place::acpi, root pointer first.
void write_acpi_tables(const Machine& machine, unsigned processors);

}  // namespace launcher
