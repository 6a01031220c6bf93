#pragma once

// Text on the first serial line, and the end of the run.

#include "guests/runtime/processor.h"

namespace guest {

struct Hex {
  u64 value;
};

void write(char c);
void write(const char* text);
void write(u64 value);
void write(Hex value);
inline void write(u32 value) { write(u64{value}); }

template <typename... Parts>
void print(const Parts&... parts) {
  (write(parts), ...);
}

/// Writes `value` to the debug-exit port: 0 is success. Does not return.
extern "C" [[noreturn]] void finish(u32 value);

}  // namespace guest

/// What a guest program defines. Its value goes to finish().
extern "C" guest::u32 kernel_main();
