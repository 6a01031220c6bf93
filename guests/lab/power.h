#pragma once

#include "guests/lab/layout.h"

namespace lab {

/// By the debug-exit port with the status; where there is none, or the command line has "power=acpi", by ACPI's S5.
[[noreturn]] void power_off(u32 status);

}  // namespace lab
