// Instructions that read or change what belongs to the kernel and do not trap in user mode (Robin and Irvine, Analysis of the
// Intel Pentium's Ability to Support a Secure Virtual Machine Monitor, USENIX Security 2000). On a processor, and under a
// hypervisor that deserves the name, they show the kernel what it has loaded itself.

#include "guests/lab/system_calls.h"
#include "guests/runtime/console.h"
#include "guests/runtime/segments.h"

extern "C" guest::u64 gdt[];

namespace lab {

namespace {

constexpr word interrupt_flag = 0x200;
constexpr u16 task_selector = long_mode ? 0x48 : 0x28;

struct [[gnu::packed]] TableRegister {
  u16 limit;
  word base;
};

word flags() {
  word value;
  asm volatile("pushf; pop %0" : "=r"(value));
  return value;
}

void set_flags(word value) { asm volatile("push %0; popf" : : "r"(value) : "cc", "memory"); }

bool sgdt() {
  TableRegister table;
  asm volatile("sgdt %0" : "=m"(table));
  return table.base == reinterpret_cast<word>(gdt);
}

bool sidt() {
  TableRegister table;
  asm volatile("sidt %0" : "=m"(table));
  return table.base == guest::interrupt_table() && table.limit == 256 * 2 * sizeof(word) - 1;
}

bool sldt() {
  u16 selector = 1;
  asm volatile("sldt %0" : "=m"(selector));
  return selector == 0;
}

bool store_task_register() {
  u16 selector = 0;
  asm volatile("str %0" : "=m"(selector));
  return selector == task_selector;
}

bool smsw() {
  u16 status = 0;
  asm volatile("smsw %0" : "=m"(status));
  return status == static_cast<u16>(guest::read_cr0());
}

bool pushf() {
  guest::enable_interrupts();
  const bool on = (flags() & interrupt_flag) != 0;
  guest::disable_interrupts();
  return on && (flags() & interrupt_flag) == 0;
}

bool popf() {
  set_flags(flags() | interrupt_flag);
  const bool on = (flags() & interrupt_flag) != 0;
  set_flags(flags() & ~interrupt_flag);
  return on && (flags() & interrupt_flag) == 0;
}

bool code_segment_read() {
  u16 selector;
  asm volatile("mov %%cs, %0" : "=r"(selector));
  return selector == guest::code_selector;
}

bool stack_segment_read() {
  word selector;
  asm volatile("mov %%ss, %k0" : "=r"(selector));
  return (selector & 3) == 0;
}

bool lar() {
  word selector = guest::code_selector;
  asm volatile("lar %k0, %k0" : "+r"(selector) : : "cc");
  return (selector & 0xff00) == 0x9b00;
}

bool lsl() {
  u32 limit = 0;
  asm volatile("lsl %1, %0" : "=r"(limit) : "r"(u32{guest::data_selector}) : "cc");
  return limit == 0xffff'ffff;
}

bool verr() {
  bool readable;
  asm volatile("verr %w1; setz %0" : "=q"(readable) : "r"(u32{guest::data_selector}) : "cc");
  return readable;
}

bool verw() {
  bool writable;
  asm volatile("verw %w1; setz %0" : "=q"(writable) : "r"(u32{guest::data_selector}) : "cc");
  return writable;
}

struct Check {
  const char* name;
  bool (*holds)();
};
constexpr Check checks[] = {
    {"sgdt", sgdt},
    {"sidt", sidt},
    {"sldt", sldt},
    {"str", store_task_register},
    {"smsw", smsw},
    {"pushf", pushf},
    {"popf", popf},
    {"mov from cs", code_segment_read},
    {"lar", lar},
    {"lsl", lsl},
    {"verr", verr},
    {"verw", verw},
    {"mov from ss", stack_segment_read},
};

}  // namespace

word check_sensitive_instructions() {
  word wrong = 0;
  for (const Check& check : checks) {
    const bool holds = check.holds();
    wrong += holds ? 0 : 1;
    guest::print("lab: sensitive ", check.name, holds ? " ok\n" : " differs\n");
  }
  return wrong;
}

}  // namespace lab
