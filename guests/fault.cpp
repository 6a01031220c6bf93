// A guest that dies: an exception with no interrupt table is a double fault, and that one a triple fault (Intel SDM
// vol. 3, 6.15, "Interrupt 8").

#include "guests/runtime/console.h"

extern "C" guest::u32 kernel_main() {
  guest::print("fault: about to triple-fault\n");
  const struct [[gnu::packed]] {
    guest::u16 limit;
    guest::u64 base;
  } nothing{0, 0};
  asm volatile("lidt %0; int3" : : "m"(nothing));
  return 1;
}
