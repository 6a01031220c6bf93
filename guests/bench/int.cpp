// Registers only: a loop of arithmetic with a branch that half the time is taken, and one that nearly always is.

#include "guests/bench/bench.h"

namespace {

guest::u64 run(guest::u64 rounds) {
  guest::u64 state = 1, sum = 0;
  // In assembly language so that the branch stays one with every compiler.
  asm volatile(
      "1: lea 1(%[state], %[state], 4), %%rdx\n"
      "   mov %%rdx, %[state]\n"
      "   shr $33, %%rdx\n"
      "   xor %%rdx, %[state]\n"
      "   add %[state], %[sum]\n"
      "   test $1, %%dl\n"
      "   jz 2f\n"
      "   ror $7, %[sum]\n"
      "   sub %%rdx, %[sum]\n"
      "   and $0xffff, %%edx\n"
      "   xor %%rdx, %[sum]\n"
      "2: mov %[sum], %%rcx\n"
      "   shl $3, %%rcx\n"
      "   add %%rcx, %[state]\n"
      "   dec %[rounds]\n"
      "   jnz 1b\n"
      : [state] "+r"(state), [sum] "+r"(sum), [rounds] "+r"(rounds)
      :
      : "rcx", "rdx", "cc");
  return sum ^ state;
}

}  // namespace

guest::u32 kernel_main() { return guest::measure("int", {350'000'000, 200'000}, run); }
