#pragma once

#include "vmm-model/hardware.h"

namespace bunshin::vmm::bare {

void load_interrupt_table();
/// Where an exception of the hypervisor itself is told.
void set_fatal_console(Hardware& hardware);
[[noreturn]] void fatal(std::string_view what, u64 first = 0, u64 second = 0, u64 third = 0);

}  // namespace bunshin::vmm::bare
