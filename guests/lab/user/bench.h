#pragma once

// Between bench.cpp and walks.cpp.

#include "guests/lab/user/library.h"

namespace user {

/// Cycles of the loop with the operation, and of the loop alone; 0: the processor has no such operation.
struct Timing {
  u64 loop, overhead;
};

void report(const char* name, const Timing& timing, word count);

/// A chase through memory that the TLBs do not hold.
struct Walk {
  const char* name;
  bool large;
};
constexpr Walk walks[] = {{"walk4k", false}, {"walk2m", true}};

/// Options: footprint=BYTES (16M), count=STEPS.
void run_walk(const Walk& walk, const char* arguments);

}  // namespace user
