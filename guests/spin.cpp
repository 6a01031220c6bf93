// A guest that hangs: a loop with interrupts off, which only a limit of the user's ends.

#include "guests/runtime/console.h"

extern "C" guest::u32 kernel_main() {
  guest::print("spin: looping with interrupts off\n");
  while (true) asm volatile("cli; 1: jmp 1b");
}
