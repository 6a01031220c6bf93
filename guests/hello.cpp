// The smallest guest: one line on the serial port, and a good end.

#include "guests/runtime/console.h"

extern "C" guest::u32 kernel_main() {
  guest::print("hello from a 64-bit guest\n");
  return 0;
}
