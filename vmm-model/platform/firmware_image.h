#pragma once

// The ACPI and MP tables of a guest's board (devices/acpi_tables), built when the hypervisor is: tables need a heap, and they
// are the same for every guest.

#include <span>

#include "base/types.h"

namespace bunshin::vmm {

/// To be placed at FirmwareTables::base; the root pointer is at FirmwareTables::rsdp.
std::span<const u8> firmware_image();

}  // namespace bunshin::vmm
