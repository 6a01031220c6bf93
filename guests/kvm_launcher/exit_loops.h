#pragma once

// Guests of a few instructions that leave again and again, to measure what the way out and back costs.

#include <cstdint>

#include "guests/kvm_launcher/machine.h"

namespace launcher {

/// Puts the loop called `kind` at flat_address; ends the program with the list of kinds if there is none.
/// Its arguments: RSI rounds, RDI where the cycles go. It runs twice, the first time as warm-up, and exits with value 0.
void load_exit_loop(const Machine& machine, const char* kind);

void print_exit_loop(const Machine& machine, const Options& options);

}  // namespace launcher
