// Exceptions with their vectors and error codes (Intel SDM vol. 3, 6.15).

#include "guests/runtime/console.h"
#include "guests/runtime/segments.h"
#include "guests/selftest/selftest.h"

namespace guest {

namespace {

enum Vector : u64 {
  DivideError = 0,
  Debug = 1,
  Breakpoint = 3,
  InvalidOpcode = 6,
  NoDevice = 7,
  NotPresent = 11,
  StackFault = 12,
  GeneralProtection = 13,
  PageFault = 14,
};

constexpr u64 nowhere = u64{1} << 39, not_canonical = u64{1} << 47;

bool divide_by_zero() {
  return expect_exception(attempt([](u64) {
                            asm volatile("xor %%edx, %%edx; div %0" : : "r"(0u) : "eax", "edx");
                          }),
                          DivideError);
}

bool divide_overflow() {
  return expect_exception(attempt([](u64) {
                            asm volatile("idivl %0" : : "r"(1u), "a"(0u), "d"(0x4000'0000u));
                          }),
                          DivideError);
}

bool invalid_opcode() {
  extern char ud2_here[] asm("ud2_here");
  const Exception e = attempt([](u64) { asm volatile(".globl ud2_here\nud2_here: ud2"); });
  return expect_exception(e, InvalidOpcode) && e.rip == reinterpret_cast<u64>(ud2_here);
}

bool lock_without_memory() {
  return expect_exception(attempt([](u64) { asm volatile(".byte 0xf0, 0x90"); }), InvalidOpcode);
}

bool breakpoint() {
  extern char int3_here[] asm("int3_here");
  const Exception e = attempt([](u64) { asm volatile(".globl int3_here\nint3_here: int3"); });
  return expect_exception(e, Breakpoint) && e.rip == reinterpret_cast<u64>(int3_here) + 1;
}

bool single_step() {
  extern char stepped[] asm("stepped");
  const Exception e =
      attempt([](u64) { asm volatile("pushfq; orq $0x100, (%rsp); popfq; nop\n.globl stepped\nstepped: nop"); });
  return expect_exception(e, Debug) && e.rip == reinterpret_cast<u64>(stepped);
}

bool no_device() {
  const Exception e = attempt([](u64) {
    asm volatile("mov %%cr0, %%rax; or $8, %%eax; mov %%rax, %%cr0; fnop" : : : "rax");
  });
  asm volatile("clts");
  return expect_exception(e, NoDevice);
}

bool selector_out_of_table() {
  return expect_exception(attempt([](u64) {
                            asm volatile("mov %0, %%ds" : : "r"(0x1000));
                          }),
                          GeneralProtection, 0x1000);
}

bool code_into_stack_segment() {
  return expect_exception(attempt([](u64) {
                            asm volatile("mov %0, %%ss" : : "r"(u32{code_selector}));
                          }),
                          GeneralProtection, code_selector);
}

bool absent_data() {
  return expect_exception(attempt([](u64) {
                            asm volatile("mov %0, %%ds" : : "r"(u32{absent_selector}));
                          }),
                          NotPresent, absent_selector);
}

bool absent_stack() {
  return expect_exception(attempt([](u64) {
                            asm volatile("mov %0, %%ss" : : "r"(u32{absent_selector}));
                          }),
                          StackFault, absent_selector);
}

bool not_canonical_address() {
  const Exception e = attempt([](u64) { asm volatile("mov (%0), %%al" : : "r"(not_canonical) : "al"); });
  return expect_exception(e, GeneralProtection);
}

bool page_fault_read() {
  const Exception e = attempt([](u64) { asm volatile("mov (%0), %%al" : : "r"(nowhere + 5) : "al"); });
  return expect_exception(e, PageFault, 0) && e.cr2 == nowhere + 5;
}

bool page_fault_write() {
  const Exception e = attempt([](u64) { asm volatile("movq $0, (%0)" : : "r"(nowhere) : "memory"); });
  return expect_exception(e, PageFault, 2) && e.cr2 == nowhere;
}

bool page_fault_fetch() {
  const Exception e = attempt([](u64) { asm volatile("call *%0" : : "r"(nowhere)); });
  return expect_exception(e, PageFault, 0x10) && e.cr2 == nowhere && e.rip == nowhere;
}

constexpr Check checks[] = {
    {"division by zero", divide_by_zero},
    {"quotient too large", divide_overflow},
    {"undefined opcode", invalid_opcode},
    {"LOCK on a register", lock_without_memory},
    {"breakpoint", breakpoint},
    {"single step", single_step},
    {"x87 with CR0.TS", no_device},
    {"selector beyond the GDT", selector_out_of_table},
    {"code segment into SS", code_into_stack_segment},
    {"absent segment into DS", absent_data},
    {"absent segment into SS", absent_stack},
    {"address not canonical", not_canonical_address},
    {"read of an absent page", page_fault_read},
    {"write to an absent page", page_fault_write},
    {"fetch from an absent page", page_fault_fetch},
};

}  // namespace

unsigned check_exceptions() { return run_checks("exceptions", checks); }

}  // namespace guest
