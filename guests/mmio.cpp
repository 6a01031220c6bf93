// A guest that jumps to where a device is: the machine must survive it, whatever the bytes there decode to.

#include "guests/runtime/console.h"

extern "C" guest::u32 kernel_main() {
  guest::print("mmio: jumping to the local APIC's registers\n");
  asm volatile("jmp *%0" : : "r"(0xfee0'0000ul));
  return 1;
}
