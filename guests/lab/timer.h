#pragma once

#include "guests/lab/layout.h"

namespace lab {

constexpr u32 ticks_a_second = 100;

/// Channel 0 of the 8254, periodic.
void start_timer();
/// On its interrupt: the new count.
word count_tick();
word ticks();

}  // namespace lab
