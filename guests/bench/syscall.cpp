// A program in user mode: system calls there and back, and page faults that the kernel serves.

#include "guests/bench/bench.h"
#include "guests/runtime/interrupts.h"
#include "guests/runtime/segments.h"

extern "C" {
guest::u64 run_user(guest::u64 rounds, void* stack);
void bench_system_call_entry();
guest::u64 serve_system_call(guest::u64 number, guest::u64 argument);
}

namespace {

using guest::u64;

constexpr guest::u32 msr_star = 0xc000'0081, msr_lstar = 0xc000'0082, msr_fmask = 0xc000'0084;
constexpr unsigned page_fault = 14;
constexpr u64 entries = 512, pages = 8;

alignas(4096) u64 directory[entries];
alignas(4096) volatile u64 table[entries];
alignas(16) guest::u8 user_stack[4096];
u64 served = 0;

void map_the_faulting_page(guest::Frame&) {
  const u64 page = (guest::read_cr2() - guest::window) / guest::page_bytes;
  served = served * 3 + page;
  table[page % entries] = (guest::arena + page * guest::page_bytes) | guest::Present | guest::Writable | guest::User;
}

void unmap_all() {
  for (u64 page = 0; page < pages; ++page) {
    table[page] = 0;
    guest::invalidate_page(guest::window + page * guest::page_bytes);
  }
}

u64 run(u64 rounds) { return run_user(rounds, user_stack + sizeof(user_stack)) ^ served; }

}  // namespace

/// Number 0 does a little; number 1 takes the pages away.
u64 serve_system_call(u64 number, u64 argument) {
  if (number == 1) unmap_all();
  return argument * 5 + 1;
}

guest::u32 kernel_main() {
  using namespace guest;
  write_msr(msr_star, u64{user_code32_selector} << 48 | u64{code_selector} << 32);
  write_msr(msr_lstar, reinterpret_cast<u64>(bench_system_call_entry));
  write_msr(msr_fmask, 0x700);
  set_handler(page_fault, map_the_faulting_page);
  directory[0] = reinterpret_cast<u64>(table) | Present | Writable | User;
  open_window(directory);
  return measure("syscall", {180'000, 500}, run);
}
