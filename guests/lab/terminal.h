#pragma once

// The first serial line: output polled, input by interrupt.

#include "guests/lab/layout.h"
#include "guests/runtime/console.h"

namespace lab {

void initialize_terminal();
/// Takes what has arrived; on the line's interrupt, and at each tick in case one was lost.
void receive_input();
/// Waits for a byte, then takes up to `bytes`.
word read_terminal(char* to, word bytes);

/// Says why and powers off with a failure.
[[noreturn]] void panic(const char* reason);

}  // namespace lab
