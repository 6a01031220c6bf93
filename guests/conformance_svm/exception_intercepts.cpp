// Intercepts of exceptions 0 to 31 (AMD APM vol. 2, 15.12): exit code 40h + vector, the error code in EXITINFO1, for #PF the
// address in EXITINFO2; and what is on record of an event that the exception interrupted.

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 beyond_map = u64{4} << 30;

struct Row {
  const char* name;
  unsigned vector;
  Mode mode;
  Code code;
  void (*change)();
  u64 error = any, address = any;
  unsigned at = 0, length = 0;
};

void nothing() {}
void with_operand() { registers.rdi = data_page; }
void with_far_operand() { registers.rdi = beyond_map; }
void with_absent_selector() { vmcb.rax = 0x40; }

constexpr Row rows[] = {
    {"divide error", 0, Mode::Long, "\xf7\xf1"_code, nothing},
    {"single step", 1, Mode::Long, "\x90\x90"_code, [] { vmcb.rflags |= 0x100; }, any, any, 1},
    {"icebp", 1, Mode::Long, "\xf1"_code, nothing, any, any, 1},
    {"int3", 3, Mode::Long, "\xcc"_code, nothing, any, any, 0, 1},
    {"into", 4, Mode::Protected, "\xce"_code, [] { vmcb.rflags |= 0x800; }, any, any, 0, 1},
    {"bound", 5, Mode::Protected, "\x62\x0f"_code,
     [] {
       with_operand();
       *reinterpret_cast<volatile u64*>(data_page) = 0;
       registers.rcx = 5;
     },
     any, any, 0, 2},
    {"undefined opcode", 6, Mode::Long, "\x0f\x0b"_code, nothing},
    {"device not available", 7, Mode::Long, "\xd9\xd0"_code, [] { vmcb.cr0 |= 8; }},
    {"invalid tss", 10, Mode::Protected, "\xcf"_code,
     [] {
       vmcb.rflags |= 1u << 14;
       *reinterpret_cast<volatile u16*>(vmcb.tr.base) = 0x10;
     },
     0x10},
    {"segment not present", 11, Mode::Long, "\x8e\xd8"_code, with_absent_selector, 0x40},
    {"stack", 12, Mode::Long, "\x8e\xd0"_code, with_absent_selector, 0x40},
    {"stack not canonical", 12, Mode::Long, "\x50"_code, [] { vmcb.rsp = u64{1} << 63; }, 0},
    {"general protection", 13, Mode::Long, "\x8e\xd8"_code, [] { vmcb.rax = 0x1238; }, 0x1238},
    {"general protection, int", 13, Mode::Long, "\xcd\x21"_code, [] { vmcb.idtr.limit = 0xff; }, 0x10a},
    {"page fault, read", 14, Mode::Long, "\x8b\x07"_code, with_far_operand, 0, beyond_map},
    {"page fault, write", 14, Mode::Long, "\x89\x07"_code, with_far_operand, 2, beyond_map},
    {"page fault, read at level 3", 14, Mode::Long, "\x8b\x07"_code,
     [] {
       with_far_operand();
       at_level_3();
     },
     4, beyond_map},
    {"page fault, fetch", 14, Mode::Long, ""_code, [] { vmcb.rip = beyond_map; }, 0x10, beyond_map,
     static_cast<unsigned>(beyond_map - code_page)},
    {"page fault in the middle of an access", 14, Mode::Long, "\x8b\x47\xfe"_code, with_far_operand, 0, beyond_map},
    {"x87", 16, Mode::Long, "\x9b\xdb\xe3\xd9\x2f\xd9\xe8\xd9\xee\xde\xf9\x9b"_code,
     [] {
       with_operand();
       *reinterpret_cast<volatile u16*>(data_page) = 0x37b;  // the zero divide unmasked
     },
     any, any, 11},
    {"alignment", 17, Mode::Long, "\x8b\x47\x01"_code,
     [] {
       with_operand();
       at_level_3();
       vmcb.cr0 |= 1u << 18;
       vmcb.rflags |= 1u << 18;
     },
     0},
    {"simd", 19, Mode::Long, "\x0f\xae\x17\x0f\x57\xc9\xf3\x0f\x5e\xc9"_code,
     [] {
       with_operand();
       *reinterpret_cast<volatile u32*>(data_page) = 0x1f00;  // invalid operation unmasked
     },
     any, any, 6},
};

void prepare_row(const Row& row) {
  prepare(row.mode, row.code);
  row.change();
}

void check_row(const Row& row) {
  prepare_row(row);
  vmcb.exceptions = 1u << row.vector;
  check_exit(row.name, {exit_code::exception + row.vector, row.length, row.error, row.address, false, row.at});
}

/// All other vectors intercepted: the guest's own handler gets it.
void check_other(const Row& row) {
  if (row.vector == 10) return;             // of a task that is entered; tasks are checked elsewhere
  if (row.code.bytes[0] == '\x50') return;  // the guest has no stack for it
  prepare_row(row);
  vmcb.exceptions = ~(1u << row.vector);
  check_true(row.name, enter() == exit_code::vmmcall && arrived(row.vector));
}

void page_faults() {
  begin_group("page fault");
  prepare("\x8b\x07"_code);
  with_far_operand();
  vmcb.exceptions = 1u << 14;
  vmcb.cr2 = 0x1234;
  enter();
  check("cr2 stays when intercepted", Field{"cr2", vmcb.cr2, 0x1234});
  if (has(svm_feature::decode_assists)) {
    check("instruction bytes", Field{"count", vmcb.fetched, 15}, Field{"byte 0", vmcb.fetched_bytes[0], 0x8b},
          Field{"byte 1", vmcb.fetched_bytes[1], 0x07}, Field{"byte 2", vmcb.fetched_bytes[2], 0x0f});
  } else {
    absent("instruction bytes");
  }
  prepare("\x8b\x07"_code);
  with_far_operand();
  enter();
  check("cr2 when taken by the guest", Field{"cr2", vmcb.cr2, beyond_map}, Field{"error", stack_word(0), 0});
}

/// A second event on the way to the first one's handler: EXITINTINFO has the first (APM vol. 2, 15.7.2).
void interrupted_events() {
  begin_group("interrupted");
  prepare("\xcd\x21"_code);
  vmcb.idtr = {0, 0, 0xfff, beyond_map};
  vmcb.exceptions = 1u << 14;
  enter();
  check("int 21h by #PF", Field{"exit", vmcb.exit_code, exit_code::exception + 14},
        Field{"event", vmcb.exit_interrupt, event_valid | event_software | 0x21},
        Field{"address", vmcb.exit_info2, beyond_map + 0x210});
  prepare("\x0f\x0b"_code);
  vmcb.idtr = {0, 0, 0xfff, beyond_map};
  vmcb.exceptions = 1u << 14;
  enter();
  check("#UD by #PF", Field{"exit", vmcb.exit_code, exit_code::exception + 14},
        Field{"event", vmcb.exit_interrupt, event_valid | event_exception | 6});
  prepare("\x8e\xd8"_code);
  vmcb.rax = 0x1238;
  vmcb.idtr = {0, 0, 0xfff, beyond_map};
  vmcb.exceptions = 1u << 14;
  enter();
  check("#GP by #PF", Field{"exit", vmcb.exit_code, exit_code::exception + 14},
        Field{"event", vmcb.exit_interrupt, event_valid | event_exception | event_has_code | u64{0x1238} << 32 | 13});
  prepare("\xcc"_code);
  vmcb.idtr = {0, 0, 0xfff, beyond_map};
  vmcb.exceptions = 1u << 14;
  enter();
  check("int3 by #PF", Field{"event", vmcb.exit_interrupt, event_valid | event_exception | 3});
  prepare("\x0f\x0b"_code);
  vmcb.idtr.limit = 0;
  vmcb.exceptions = 1u << 8;
  enter();
  check("double fault", Field{"exit", vmcb.exit_code, exit_code::exception + 6 + 2}, Field{"rip", code_offset(), 0});
  prepare("\x0f\x0b"_code);
  vmcb.idtr.limit = 0;
  enter();
  check("shutdown", Field{"exit", vmcb.exit_code, exit_code::shutdown});
}

}  // namespace

void check_exception_intercepts() {
  begin_group("exception");
  for (const Row& row : rows) check_row(row);
  begin_group("all other exceptions");
  for (const Row& row : rows) check_other(row);
  page_faults();
  interrupted_events();
}

}  // namespace guest
