#pragma once

// Checks of the processor and the board by a program that runs on them. What is printed holds no number that depends on
// the machine's speed or model, so that every conforming machine prints the same.

#include "guests/runtime/interrupts.h"
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

/// Prints the exception's vector and error code, and compares them.
bool expect_exception(const Exception& exception, u64 vector, u64 error = 0);

unsigned check_exceptions();
unsigned check_instructions();
unsigned check_paging();
unsigned check_modes();
unsigned check_timers();

}  // namespace guest
