// The task-switch intercept, and FERR_FREEZE (AMD APM vol. 2, 15.14.1, 15.13).

#include "guests/conformance_svm/machine.h"

extern "C" guest::u64 gdt[];

namespace guest {

namespace {

constexpr u16 current_task = 0x48, other_task = 0x50;
constexpr u64 by_iret = u64{1} << 36, by_jump = u64{1} << 38, has_error = u64{1} << 44, resume_flag = u64{1} << 48;

alignas(16) u64 table[16], gates[64];
alignas(16) u32 states[2][26];

u64 task_descriptor(const void* base, u8 type) {
  const u64 at = reinterpret_cast<u64>(base);
  return 0x67 | (at & 0xff'ffff) << 16 | u64{type} << 40 | (at >> 24) << 56;
}

void prepare_task(Code code) {
  prepare(Mode::Protected, code);
  for (unsigned i = 0; i < 9; ++i) table[i] = gdt[i];
  table[current_task / 8] = task_descriptor(states[0], 0x8b);
  table[other_task / 8] = task_descriptor(states[1], 0x89);
  for (u64& gate : gates) gate = u64{0x8500} << 32 | u64{other_task} << 16;
  vmcb.gdtr = {0, 0, sizeof table - 1, reinterpret_cast<u64>(table)};
  vmcb.idtr = {0, 0, sizeof gates - 1, reinterpret_cast<u64>(gates)};
  vmcb.tr = {current_task, 0x8b, 0x67, reinterpret_cast<u64>(states[0])};
  intercept(exit_code::task_switch);
}

struct Row {
  const char* name;
  Code code;
  void (*change)();
  u64 info2, event = 0;
};

constexpr Row rows[] = {
    {"jmp", "\xea\0\0\0\0\x50\0"_code, [] {}, by_jump},
    {"call", "\x9a\0\0\0\0\x50\0"_code, [] {}, 0},
    {"iret", "\xcf"_code,
     [] {
       vmcb.rflags |= 1u << 14;
       states[0][0] = other_task;
       table[other_task / 8] = task_descriptor(states[1], 0x8b);
     },
     by_iret},
    {"int 21h", "\xcd\x21"_code, [] {}, 0, event_valid | event_software | 0x21},
    {"undefined opcode", "\x0f\x0b"_code, [] {}, resume_flag, event_valid | event_exception | 6},
    {"general protection", "\x8e\xd8"_code, [] { vmcb.rax = 0x1238; }, resume_flag | has_error | 0x1238,
     event_valid | event_exception | event_has_code | u64{0x1238} << 32 | 13},
};

void check_row(const Row& row) {
  prepare_task(row.code);
  row.change();
  enter();
  check(row.name, Field{"exit", vmcb.exit_code, exit_code::task_switch}, Field{"rip", code_offset(), 0},
        Field{"info1", vmcb.exit_info1 & 0xffff, other_task},
        Field{"info2", vmcb.exit_info2 & ~resume_flag, row.info2 & ~resume_flag},
        Field{"tr", vmcb.tr.selector, current_task});
  begin_line("event of ");
  check(row.name, Field{"event", vmcb.exit_interrupt & (row.event == 0 ? event_valid : ~u64{0}), row.event});
}

void ferr_freeze() {
  begin_group("ferr_freeze");
  prepare("\xdb\xe3\xd9\x2f\xd9\xe8\xd9\xee\xde\xf9\x9b"_code);
  registers.rdi = data_page;
  *reinterpret_cast<volatile u16*>(data_page) = 0x37b;
  vmcb.cr0 &= ~u64{0x20};
  intercept(exit_code::ferr_freeze);
  watch();
  check_exit("fwait behind a division by zero", {.code = exit_code::ferr_freeze, .at = 10});
  asm volatile("fninit");
}

}  // namespace

void check_task_intercepts() {
  begin_group("task switch");
  for (const Row& row : rows) check_row(row);
  ferr_freeze();
}

}  // namespace guest
