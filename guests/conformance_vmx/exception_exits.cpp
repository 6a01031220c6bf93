// Exits for exceptions by the exception bitmap, #PF by mask and match; interruption and IDT-vectoring information (Intel SDM
// vol. 3, 25.2, 27.2.2 to 27.2.4).

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

constexpr u64 nowhere = u64{4} << 30;
constexpr unsigned double_fault = 8, page_fault = 14;

struct Row {
  const char* name;
  unsigned vector;
  Mode mode;
  Code code;
  void (*change)();
  u64 error = any, qualification = 0;
  unsigned at = 0;
  u64 type = event_exception, length = any;
};

void nothing() {}
void with_operand() { registers.rdi = data_page; }
void with_far_operand() { registers.rdi = nowhere; }
void with_absent_selector() { registers.rax = 0x40; }

constexpr Row rows[] = {
    {"divide error", 0, Mode::Long, "\xf7\xf1"_code, nothing},
    {"single step", 1, Mode::Long, "\x90\x90"_code, [] { set(vmcs::guest_rflags, 0x100); }, any, 0x4000, 1},
    {"icebp", 1, Mode::Long, "\xf1"_code, nothing, any, 0, 0, event_privileged, 1},
    {"int3", 3, Mode::Long, "\xcc"_code, nothing, any, 0, 0, event_software_exception, 1},
    {"into", 4, Mode::Pae, "\xce"_code, [] { set(vmcs::guest_rflags, 0x800); }, any, 0, 0, event_software_exception, 1},
    {"bound", 5, Mode::Pae, "\x62\x0f"_code,
     [] {
       with_operand();
       *reinterpret_cast<volatile u64*>(data_page) = 0;
       registers.rcx = 5;
     }},
    {"undefined opcode", 6, Mode::Long, "\x0f\x0b"_code, nothing},
    {"device not available", 7, Mode::Long, "\xd9\xd0"_code, [] { set(vmcs::guest_cr0, 8); }},
    {"invalid tss", 10, Mode::Pae, "\xcf"_code,
     [] {
       set(vmcs::guest_rflags, 1u << 14);
       *reinterpret_cast<volatile u16*>(get(vmcs::tr_base)) = 0x10;
     },
     0x10},
    {"segment not present", 11, Mode::Long, "\x8e\xd8"_code, with_absent_selector, 0x40},
    {"stack", 12, Mode::Long, "\x8e\xd0"_code, with_absent_selector, 0x40},
    {"stack not canonical", 12, Mode::Long, "\x50"_code, [] { put(vmcs::guest_rsp, u64{1} << 63); }, 0},
    {"general protection", 13, Mode::Long, "\x8e\xd8"_code, [] { registers.rax = 0x1238; }, 0x1238},
    {"general protection, int", 13, Mode::Long, "\xcd\x21"_code, [] { put(vmcs::idtr_limit, 0xff); }, 0x10a},
    {"page fault, read", 14, Mode::Long, "\x8b\x07"_code, with_far_operand, 0, nowhere},
    {"page fault, write", 14, Mode::Long, "\x89\x07"_code, with_far_operand, 2, nowhere},
    {"page fault, read at level 3", 14, Mode::Long, "\x8b\x07"_code,
     [] {
       with_far_operand();
       at_level_3();
     },
     4, nowhere},
    {"page fault, fetch", 14, Mode::Long, ""_code, [] { put(vmcs::guest_rip, nowhere); }, 0x10, nowhere,
     static_cast<unsigned>(nowhere - code_page)},
    {"x87", 16, Mode::Long, "\xdb\xe3\xd9\x2f\xd9\xe8\xd9\xee\xde\xf9\x9b"_code,
     [] {
       with_operand();
       *reinterpret_cast<volatile u16*>(data_page) = 0x37b;  // the zero divide unmasked
     },
     any, 0, 10},
    {"alignment", 17, Mode::Long, "\x8b\x47\x01"_code,
     [] {
       with_operand();
       at_level_3();
       set(vmcs::guest_cr0, 1u << 18);
       set(vmcs::guest_rflags, 1u << 18);
     },
     0},
    {"simd", 19, Mode::Long, "\x0f\xae\x17\x0f\x57\xc9\xf3\x0f\x5e\xc9"_code,
     [] {
       with_operand();
       *reinterpret_cast<volatile u32*>(data_page) = 0x1f00;  // invalid operation unmasked
     },
     any, 0, 6},
};

void prepare_row(const Row& row) {
  prepare(row.mode, row.code);
  row.change();
}

void check_row(const Row& row) {
  prepare_row(row);
  put(vmcs::exceptions, 1u << row.vector);
  enter();
  const u64 code = row.error == any ? 0 : event_has_code;
  check(row.name, Field{"reason", exit_reason(), reason::exception}, Field{"rip", code_offset(), row.at},
        Field{"event", get(vmcs::exit_event), event_valid | row.type | code | row.vector},
        Field{"error", get(vmcs::exit_error), row.error},
        Field{"qualification", get(vmcs::qualification), row.qualification},
        Field{"length", get(vmcs::instruction_length), row.length});
}

void check_other(const Row& row) {
  if (row.code.bytes[0] == '\x50') return;  // the guest has no stack for it
  prepare_row(row);
  put(vmcs::exceptions, ~(1u << row.vector) & 0xffff'ffff);
  // Page faults by the bitmap's bit turned round (25.2).
  enter();
  check_true(row.name, arrived(row.vector));
}

struct Match {
  const char* name;
  bool bitmap;
  u32 mask, match;
  Code code;
  bool exits;
};
constexpr Code read_code = "\x8b\x07"_code, write_code = "\x89\x07"_code;
constexpr Match matches[] = {
    {"bit set, mask 0, match 0", true, 0, 0, read_code, true},
    {"bit clear, mask 0, match 0", false, 0, 0, read_code, false},
    {"bit set, mask 0, match 1", true, 0, 1, read_code, false},
    {"bit clear, mask 0, match 1", false, 0, 1, read_code, true},
    {"bit set, writes, a write", true, 2, 2, write_code, true},
    {"bit set, writes, a read", true, 2, 2, read_code, false},
    {"bit clear, writes, a write", false, 2, 2, write_code, false},
    {"bit clear, writes, a read", false, 2, 2, read_code, true},
};

void page_faults() {
  begin_group("page fault");
  for (const Match& each : matches) {
    prepare(each.code);
    with_far_operand();
    put(vmcs::exceptions, each.bitmap ? 1u << page_fault : 0);
    put(vmcs::fault_mask, each.mask);
    put(vmcs::fault_match, each.match);
    enter();
    if (each.exits) {
      check(each.name, Field{"reason", exit_reason(), reason::exception});
    } else {
      check_true(each.name, arrived(page_fault));
    }
  }
  prepare(read_code);
  with_far_operand();
  put(vmcs::exceptions, 1u << page_fault);
  asm volatile("mov %0, %%cr2" : : "r"(u64{0x1234}));
  enter();
  check("cr2 stays when it leaves", Field{"cr2", read_cr2(), 0x1234});
  prepare(read_code);
  with_far_operand();
  enter();
  check("cr2 when the guest takes it", Field{"cr2", read_cr2(), nowhere}, Field{"error", stack_word(0), 0});
}

/// The event on whose way a page fault left the guest.
void check_vectoring(const char* name, Code code, void (*change)(), u64 event, u64 error = any, u64 length = any) {
  prepare(code);
  change();
  put(vmcs::idtr_base, nowhere);
  put(vmcs::exceptions, 1u << page_fault);
  enter();
  check(name, Field{"reason", exit_reason(), reason::exception}, Field{"vectoring", get(vmcs::vectoring), event},
        Field{"error", get(vmcs::vectoring_error), error}, Field{"length", get(vmcs::instruction_length), length});
}

void vectoring() {
  begin_group("idt-vectoring information");
  check_vectoring("int 21h", "\xcd\x21"_code, nothing, event_valid | event_software | 0x21, any, 2);
  check_vectoring("int3", "\xcc"_code, nothing, event_valid | event_software_exception | 3, any, 1);
  check_vectoring("icebp", "\xf1"_code, nothing, event_valid | event_privileged | 1, any, 1);
  check_vectoring("#UD", "\x0f\x0b"_code, nothing, event_valid | event_exception | 6);
  check_vectoring(
      "#GP", "\x8e\xd8"_code, [] { registers.rax = 0x1238; }, event_valid | event_exception | event_has_code | 13,
      0x1238);
  check_vectoring(
      "interrupt injected", "\x90"_code,
      [] {
        set(vmcs::guest_rflags, 0x200);
        put(vmcs::entry_event, event_valid | 0x30);
      },
      event_valid | 0x30);
  check_vectoring(
      "nmi injected", "\x90"_code, [] { put(vmcs::entry_event, event_valid | event_nmi | 2); },
      event_valid | event_nmi | 2);
  check_vectoring(
      "#GP injected", "\x90"_code,
      [] {
        put(vmcs::entry_event, event_valid | event_exception | event_has_code | 13);
        put(vmcs::entry_error, 0x58);
      },
      event_valid | event_exception | event_has_code | 13, 0x58);
  check_vectoring(
      "int 21h injected", "\x90"_code,
      [] {
        put(vmcs::entry_event, event_valid | event_software | 0x21);
        put(vmcs::entry_length, 1);
      },
      event_valid | event_software | 0x21, any, 1);
  prepare("\x0f\x0b"_code);
  put(vmcs::exceptions, 1u << 6);
  enter();
  check("nothing interrupted", Field{"vectoring", get(vmcs::vectoring) >> 31, 0});
  prepare("\x0f\x0b"_code);
  put(vmcs::idtr_limit, 0);
  put(vmcs::exceptions, 1u << double_fault);
  enter();
  check("double fault",
        Field{"event", get(vmcs::exit_event), event_valid | event_exception | event_has_code | double_fault},
        Field{"error", get(vmcs::exit_error), 0}, Field{"vectoring", get(vmcs::vectoring) >> 31, 0});
  prepare("\x0f\x0b"_code);
  put(vmcs::idtr_limit, 0);
  enter();
  check("triple fault", Field{"reason", exit_reason(), reason::triple_fault});
}

}  // namespace

void check_exception_exits() {
  begin_group("exception");
  for (const Row& row : rows) check_row(row);
  begin_group("all other exceptions");
  for (const Row& row : rows) check_other(row);
  page_faults();
  vectoring();
}

}  // namespace guest
