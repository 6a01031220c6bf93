#pragma once

// A program's end after its processor has gone through the firmware.

#include "guests/conformance_platform/platform.h"

extern "C" {
extern char resume[], resume_end[];
}

namespace guest {

constexpr u32 resume_address = 0x6000;

/// Copies the code that ends the run with 0, if the processor reaches it.
inline void place_resume_code() {
  auto* to = reinterpret_cast<volatile char*>(u64{resume_address});
  for (const char* from = resume; from != resume_end; ++from) *to++ = *from;
  mmio(0x7000) = 0;
}

inline void write_cmos(u8 index, u8 value) {
  out8(0x70, index);
  out8(0x71, value);
}

inline u8 read_cmos(u8 index) {
  out8(0x70, index);
  return in8(0x71);
}

}  // namespace guest
