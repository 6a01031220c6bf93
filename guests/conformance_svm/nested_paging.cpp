// Nested paging (AMD APM vol. 2, 15.25): faults, accessed and dirty bits, page sizes, the guest's PAT.

#include "guests/conformance_svm/tables.h"

namespace guest {

namespace {

constexpr u64 final_access = u64{1} << 32, guest_table = u64{1} << 33, write = 2, fetch = 0x10, reserved = 8;
constexpr Code read_code = "\x8b\x07"_code, write_code = "\x89\x07"_code, call_code = "\xff\xd7"_code;
constexpr u64 open = present | writable | user;

enum class Access { Read, Write, Fetch };
constexpr Code code_of(Access access) {
  return access == Access::Read ? read_code : access == Access::Write ? write_code : call_code;
}

struct Row {
  const char* name;
  Access access;
  u64 entry;  ///< of the window, but for the frame
  u64 info1;
};

constexpr Row faults[] = {
    {"absent, read", Access::Read, 0, user},
    {"absent, write", Access::Write, 0, user | write},
    {"absent, fetch", Access::Fetch, 0, user | fetch},
    {"read-only, write", Access::Write, present | user, present | user | write},
    {"supervisor, read", Access::Read, present | writable, present | user},
    {"supervisor, write", Access::Write, present | writable, present | user | write},
    {"supervisor, fetch", Access::Fetch, present | writable, present | user | fetch},
    {"no execution, fetch", Access::Fetch, open | no_execute, present | user | fetch},
    {"reserved bit, read", Access::Read, open | u64{1} << 51, present | user | reserved},
    {"reserved bit, write", Access::Write, open | u64{1} << 51, present | user | reserved | write},
};

void prepare_access(Access access, u64 entry) {
  prepare_nested(Mode::Long, code_of(access));
  if (access == Access::Fetch) watch();
  registers.rdi = window;
  nested_tables.window1[0] = entry | ((entry & present) != 0 ? frame(0) : 0);
}

void check_fault(const Row& row) {
  if ((row.entry >> 51 & 1) != 0 && (cpuid(0x8000'0008).eax & 0xff) >= 52) return absent(row.name);
  prepare_access(row.access, row.entry);
  enter();
  const bool is_fetch = row.access == Access::Fetch;
  check(row.name, Field{"exit", vmcb.exit_code, exit_code::nested_page_fault},
        Field{"rip", vmcb.rip, is_fetch ? window : code_page},
        Field{"info1", vmcb.exit_info1, row.info1 | final_access}, Field{"info2", vmcb.exit_info2, window});
  nested_tables.window1[0] = frame(0) | open;
  vmcb.tlb_control = 1;
  begin_line(row.name, ", ");
  check_finished("repaired");
}

constexpr Row granted[] = {
    {"read of read-only", Access::Read, present | user, present | user | accessed},
    {"fetch of read-only", Access::Fetch, present | user, present | user | accessed},
    {"read of no execution", Access::Read, open | no_execute, open | no_execute | accessed},
    {"read", Access::Read, open, open | accessed},
    {"write", Access::Write, open, open | accessed | dirty},
    {"fetch", Access::Fetch, open, open | accessed},
};

void check_granted(const Row& row) {
  prepare_access(row.access, row.entry);
  enter();
  constexpr u64 flags = 0xfff | no_execute;
  check(row.name, Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        Field{"entry", nested_tables.window1[0] & flags, row.info1});
}

/// The guest's own tables, which lie in the window and lead to the window's second page.
void prepare_walk(u64 entry) {
  prepare_nested(Mode::Long, read_code);
  fill(guest_tables);
  guest_tables.window2[0] = window | open;
  auto* const table = reinterpret_cast<u64*>(frame_memory[0]);
  __builtin_memset(table, 0, 4096);
  table[1] = (window + 0x1000) | open;
  nested_tables.window1[0] = entry | ((entry & present) != 0 ? frame(0) : 0);
  nested_tables.window1[1] = frame(1) | open;
  vmcb.cr3 = reinterpret_cast<u64>(&guest_tables);
  registers.rdi = window + 0x1000;
}

struct Walk {
  const char* name;
  u64 entry, info1;
};

void walks() {
  begin_group("nested walk of guest tables");
  constexpr Walk rows[] = {
      {"absent", 0, user | write},
      {"read-only", present | user, present | user | write},
      {"supervisor", present | writable, present | user | write},
      {"reserved bit", open | u64{1} << 51, present | user | write | reserved},
  };
  for (const Walk& row : rows) {
    if ((row.entry >> 51 & 1) != 0 && (cpuid(0x8000'0008).eax & 0xff) >= 52) {
      absent(row.name);
      continue;
    }
    prepare_walk(row.entry);
    enter();
    check(row.name, Field{"exit", vmcb.exit_code, exit_code::nested_page_fault}, Field{"rip", code_offset(), 0},
          Field{"info1", vmcb.exit_info1, row.info1 | guest_table},
          Field{"info2", vmcb.exit_info2 & ~u64{0xfff}, window});
  }
  prepare_walk(open);
  enter();
  auto* const table = reinterpret_cast<u64*>(frame_memory[0]);
  check("open", Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        // Walks of guest tables count as writes (15.25.5).
        Field{"nested entry", nested_tables.window1[0] & 0xfff, open | accessed | dirty},
        Field{"guest entry", table[1] & 0xfff, open | accessed},
        Field{"nested entry of the page", nested_tables.window1[1] & 0xfff, open | accessed});
  prepare_walk(open);
  guest_tables.level4[0] = 0;
  vmcb.idtr.limit = 0;
  enter();
  check("absent for the guest too", Field{"exit", vmcb.exit_code, exit_code::shutdown});
  prepare_walk(open);
  registers.rdi = window + 0x2000;
  enter();
  check("page fault of the guest's own", Field{"rip", vmcb.rip, event_entry(14)}, Field{"error", stack_word(0), 0},
        Field{"cr2", vmcb.cr2, window + 0x2000});
}

void page_sizes() {
  begin_group("nested page sizes");
  prepare_access(Access::Read, 0);
  frame_memory[2][0x10] = 0x5a;
  registers.rdi = window + (frame(2) & 0x1f'ffff) + 0x10;
  nested_tables.window2[0] = (frame(2) & ~u64{0x1f'ffff}) | open | large;
  enter();
  check("2 MiB", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rax", vmcb.rax & 0xff, 0x5a},
        Field{"entry", nested_tables.window2[0] & 0xfff, open | large | accessed});
  if ((cpuid(0x8000'0001).edx >> 26 & 1) == 0) return absent("1 GiB"), absent("1 GiB, read-only");
  for (const bool read_only : {false, true}) {
    prepare_access(read_only ? Access::Write : Access::Read, 0);
    frame_memory[2][0x10] = 0x5b;
    registers.rdi = window + frame(2) + 0x10;
    nested_tables.level3[1] = (open & ~(read_only ? writable : 0)) | large;
    enter();
    if (read_only) {
      check("1 GiB, read-only", Field{"exit", vmcb.exit_code, exit_code::nested_page_fault},
            Field{"info1", vmcb.exit_info1, present | write | user | final_access},
            Field{"info2", vmcb.exit_info2, window + frame(2) + 0x10});
    } else {
      check("1 GiB", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rax", vmcb.rax & 0xff, 0x5b});
    }
  }
}

void modes() {
  begin_group("nested paging under");
  prepare_nested(Mode::Real, "\xa0\x08\x00"_code);
  vmcb.ds.base = window;
  nested_tables.window1[0] = frame(3) | open;
  enter();
  check("real mode", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"al", vmcb.rax & 0xff, 3});
  prepare_nested(Mode::Real, "\xa0\x08\x00"_code);
  vmcb.ds.base = window;
  enter();
  check("real mode, absent", Field{"exit", vmcb.exit_code, exit_code::nested_page_fault},
        Field{"info1", vmcb.exit_info1, user | final_access}, Field{"info2", vmcb.exit_info2, window + 8});
  prepare_nested(Mode::Protected, read_code);
  registers.rdi = window + 8;
  nested_tables.window1[0] = frame(3) | open;
  enter();
  check("protected mode without paging", Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        Field{"al", vmcb.rax & 0xff, 3});
  prepare_nested(Mode::Pae, read_code);
  check_finished("pae paging");
  prepare_nested(Mode::Compatibility, read_code);
  check_finished("compatibility mode");
}

void memory_type() {
  begin_group("guest pat");
  constexpr u64 other = 0x0606'0606'0606'0606;
  const u64 host = read_msr(msr_pat);
  prepare_nested(Mode::Long, "\x0f\x32"_code);
  registers.rcx = msr_pat;
  vmcb.pat = other;
  enter();
  check("read", Field{"low", vmcb.rax, other & 0xffff'ffff}, Field{"high", registers.rdx, other >> 32},
        Field{"host", read_msr(msr_pat), host});
  prepare_nested(Mode::Long, "\x0f\x30"_code);
  registers.rcx = msr_pat;
  vmcb.rax = other & 0xffff'ffff;
  registers.rdx = other >> 32;
  enter();
  check("write", Field{"guest", vmcb.pat, other}, Field{"host", read_msr(msr_pat), host});
}

void events() {
  begin_group("nested page fault of an event");
  prepare_nested(Mode::Long, "\xcd\x21"_code);
  vmcb.idtr = {0, 0, 0xfff, window};
  enter();
  check("int 21h", Field{"exit", vmcb.exit_code, exit_code::nested_page_fault},
        Field{"info2", vmcb.exit_info2, window + 0x210},
        Field{"event", vmcb.exit_interrupt, event_valid | event_software | 0x21});
  prepare_nested(Mode::Long, "\x90"_code);
  vmcb.event = event_valid | 0x30;
  vmcb.idtr = {0, 0, 0xfff, window};
  enter();
  check("injected interrupt", Field{"exit", vmcb.exit_code, exit_code::nested_page_fault},
        Field{"event", vmcb.exit_interrupt, event_valid | 0x30});
  prepare_access(Access::Read, 0);
  enter();
  if (!has(svm_feature::decode_assists)) return absent("instruction bytes");
  check("instruction bytes", Field{"count", vmcb.fetched, 15}, Field{"byte 0", vmcb.fetched_bytes[0], 0x8b},
        Field{"byte 1", vmcb.fetched_bytes[1], 0x07}, Field{"byte 2", vmcb.fetched_bytes[2], 0x0f});
}

}  // namespace

void check_nested_paging() {
  if (!has(svm_feature::nested_paging)) {
    begin_group("nested paging");
    return absent("all of it");
  }
  begin_group("nested page fault");
  for (const Row& row : faults) check_fault(row);
  begin_group("nested access");
  for (const Row& row : granted) check_granted(row);
  walks();
  page_sizes();
  modes();
  memory_type();
  events();
}

}  // namespace guest
