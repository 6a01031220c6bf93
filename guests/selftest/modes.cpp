// Compatibility mode, user mode, and the ways between privilege levels.

#include "guests/runtime/segments.h"
#include "guests/selftest/paging.h"
#include "guests/selftest/selftest.h"

extern "C" {
guest::u32 run_in_code32();
guest::u32 run_in_code16();
guest::u64 enter_user(void (*program)(), void* stack);
void system_call_entry();
void user_system_call();
void user_privileged();
void user_interrupt();
void user_forbidden_interrupt();
void user_supervisor_page();
extern char code16[];
}

namespace guest {

namespace {

constexpr u32 msr_star = 0xc000'0081, msr_lstar = 0xc000'0082, msr_fmask = 0xc000'0084;
constexpr unsigned user_vector = 0x80;

alignas(16) u8 user_stack[4096];
u64 seen_selector = 0, seen_stack = 0;

u64 run_as_user(void (*program)()) { return enter_user(program, user_stack + sizeof(user_stack)); }

void prepare_system_calls() {
  write_msr(msr_star, u64{user_code32_selector} << 48 | u64{code_selector} << 32);
  write_msr(msr_lstar, reinterpret_cast<u64>(system_call_entry));
  write_msr(msr_fmask, 0x700);
}

bool runs_32_bit_code() { return run_in_code32() == 42; }

bool runs_16_bit_code() {
  set_segment_base(code16_selector, static_cast<u32>(reinterpret_cast<u64>(code16)));
  return run_in_code16() == 0x1234;
}

bool makes_system_calls() { return run_as_user(user_system_call) == user_code_selector; }

bool protects_privileged_instructions() {
  return expect_exception(attempt([](u64) { run_as_user(user_privileged); }), 13);
}

bool takes_interrupts_from_user_mode() {
  set_handler(user_vector, [](Frame& frame) {
    seen_selector = frame.cs;
    seen_stack = frame.rsp;
    frame.rax += 1;
  });
  set_gate_privilege(user_vector, 3);
  const bool returned = run_as_user(user_interrupt) == 8;
  return returned && seen_selector == user_code_selector &&
         seen_stack == reinterpret_cast<u64>(user_stack) + sizeof(user_stack);
}

bool protects_gates() {
  // The error code is 21H * 8 + 2 (SDM vol. 3, 6.13); QEMU 7.2 doubles the index, so only the IDT bit is compared.
  const Exception e = attempt([](u64) { run_as_user(user_forbidden_interrupt); });
  return e.raised && e.vector == 13 && (e.error & 7) == 2;
}

bool protects_supervisor_pages() {
  map_page(0, 0, Present | Writable);
  const Exception e = attempt([](u64) { run_as_user(user_supervisor_page); });
  return expect_exception(e, 14, 5) && e.cr2 == window;
}

constexpr Check checks[] = {
    {"32-bit code segment", runs_32_bit_code},
    {"16-bit code segment", runs_16_bit_code},
    {"SYSRET and SYSCALL", makes_system_calls},
    {"CLI in user mode", protects_privileged_instructions},
    {"INT through a gate for users", takes_interrupts_from_user_mode},
    {"INT through a gate for the kernel", protects_gates},
    {"supervisor page in user mode", protects_supervisor_pages},
};

}  // namespace

unsigned check_modes() {
  prepare_system_calls();
  return run_checks("modes", checks);
}

}  // namespace guest
