// EPT (Intel SDM vol. 3, 28.2): violations with their qualification, misconfigurations, accessed and dirty bits, page sizes.

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr u64 read = 1, write = 2, fetch = 4, readable = 8, writable = 0x10, executable = 0x20, linear_valid = 0x80,
              final_access = 0x100;
constexpr u64 defined_bits = 0x1bf;
constexpr Code read_code = "\x8b\x07"_code, write_code = "\x89\x07"_code, call_code = "\xff\xd7"_code,
               exchange_code = "\x87\x07"_code;
constexpr u64 open = ept_all | ept_write_back;

enum class Access { Read, Write, Fetch, Exchange };
constexpr Code code_of(Access access) {
  constexpr Code codes[] = {read_code, write_code, call_code, exchange_code};
  return codes[static_cast<unsigned>(access)];
}

struct Row {
  const char* name;
  Access access;
  u64 entry;  ///< of the window, but for the frame
  u64 qualification;
};

constexpr Row violations[] = {
    {"absent, read", Access::Read, 0, read},
    {"absent, write", Access::Write, 0, write},
    {"absent, fetch", Access::Fetch, 0, fetch},
    {"read-only, write", Access::Write, ept_read | ept_write_back, write | readable},
    {"read-only, fetch", Access::Fetch, ept_read | ept_write_back, fetch | readable},
    {"no execution, fetch", Access::Fetch, ept_read | ept_write | ept_write_back, fetch | readable | writable},
    {"no writing, write", Access::Write, ept_read | ept_execute | ept_write_back, write | readable | executable},
    {"execute-only, read", Access::Read, ept_execute | ept_write_back, read | executable},
    {"execute-only, write", Access::Write, ept_execute | ept_write_back, write | executable},
};

void prepare_access(Access access, u64 entry) {
  prepare_ept(Mode::Long, code_of(access));
  if (access == Access::Fetch) watch();
  registers.rdi = window;
  ept_tables.window1[0] = entry | ((entry & ept_all) != 0 ? frame(0) : 0);
}

bool is_possible(u64 entry) { return (entry & ept_all) != ept_execute || ept_can(ept_capability::execute_only); }

void check_violation(const Row& row) {
  if (!is_possible(row.entry)) return absent(row.name);
  prepare_access(row.access, row.entry);
  enter();
  const bool is_fetch = row.access == Access::Fetch;
  check(
      row.name, Field{"reason", exit_reason(), reason::ept_violation},
      Field{"rip", get(vmcs::guest_rip), is_fetch ? window : code_page},
      Field{"qualification", get(vmcs::qualification) & defined_bits, row.qualification | linear_valid | final_access},
      Field{"physical", get(vmcs::guest_physical), window}, Field{"linear", get(vmcs::guest_linear), window});
}

struct Bad {
  const char* name;
  u64 entry;
  unsigned level;
};
constexpr Bad misconfigured[] = {
    {"writable, not readable", ept_write | ept_write_back, 1},
    {"writable and executable, not readable", ept_write | ept_execute | ept_write_back, 1},
    {"memory type 2", ept_all | 2u << 3, 1},
    {"memory type 3", ept_all | 3u << 3, 1},
    {"memory type 7", ept_all | 7u << 3, 1},
    {"address beyond physical memory", ept_all | ept_write_back | u64{1} << 51, 1},
    {"level 2, a table with memory type", ept_all | ept_write_back, 2},
    {"level 2, a page not aligned", ept_all | ept_large | ept_write_back | 0x1000, 2},
    {"level 3, a table with bit 3", ept_all | 8, 3},
    {"level 4, bit 7", ept_all | ept_large, 4},
    {"level 4, writable, not readable", ept_write, 4},
};

void check_misconfiguration(const Bad& row) {
  const unsigned physical_bits = cpuid(0x8000'0008).eax & 0xff;
  if ((row.entry >> 51 & 1) != 0 && physical_bits >= 52) return absent(row.name);
  prepare_access(Access::Read, 0);
  constexpr u64 low = 0xfff | u64{1} << 51;
  u64* const entries[] = {&ept_tables.window1[0], &ept_tables.window2[0], &ept_tables.level3[1], &ept_tables.level4[0]};
  u64& entry = *entries[row.level - 1];
  entry = (row.level == 1 ? frame(0) : entry & ~low) | row.entry;
  enter();
  // All of the guest lies behind the one entry of level 4.
  check(row.name, Field{"reason", exit_reason(), reason::ept_misconfiguration}, Field{"rip", code_offset(), 0},
        Field{"physical", get(vmcs::guest_physical), row.level == 4 ? any : window});
}

constexpr Row granted[] = {
    {"read", Access::Read, open, ept_accessed},
    {"write", Access::Write, open, ept_accessed | ept_dirty},
    {"fetch", Access::Fetch, open, ept_accessed},
    {"exchange", Access::Exchange, open, ept_accessed | ept_dirty},
    {"read of read-only", Access::Read, ept_read | ept_write_back, ept_accessed},
    {"fetch of execute-only", Access::Fetch, ept_execute | ept_write_back, ept_accessed},
};

void check_granted(const Row& row) {
  for (const bool flags : {false, true}) {
    begin_line(flags ? "with accessed and dirty bits, " : "");
    if (!is_possible(row.entry) || (flags && !ept_can(ept_capability::accessed_dirty))) {
      absent(row.name);
      continue;
    }
    prepare_access(row.access, row.entry);
    if (flags) set(vmcs::eptp, 0x40);
    enter();
    check(row.name, Field{"reason", exit_reason(), reason::vmcall},
          Field{"bits", ept_tables.window1[0] & (ept_accessed | ept_dirty), flags ? row.qualification : 0});
  }
}

alignas(4096) u64 guest_root[512], guest_level3[512], guest_level2[512];

/// The guest's lowest page table lies in the window and leads to the window's second page.
void prepare_walk(u64 entry, bool flags) {
  prepare_ept(Mode::Long, read_code);
  guest_root[0] = *reinterpret_cast<u64*>(read_cr3() & ~u64{0xfff});
  guest_root[1] = reinterpret_cast<u64>(guest_level3) | 7;
  guest_level3[0] = reinterpret_cast<u64>(guest_level2) | 7;
  guest_level2[0] = window | 7;
  auto* const table = reinterpret_cast<u64*>(frame_memory[0]);
  __builtin_memset(table, 0, 4096);
  table[1] = (window + 0x1000) | 7;
  ept_tables.window1[0] = entry | ((entry & ept_all) != 0 ? frame(0) : 0);
  ept_tables.window1[1] = frame(1) | open;
  put(vmcs::guest_cr3, reinterpret_cast<u64>(guest_root));
  registers.rdi = (u64{1} << 39) | 0x1000;
  if (flags) set(vmcs::eptp, 0x40);
}

void walks() {
  begin_group("ept and guest tables");
  prepare_walk(0, false);
  enter();
  check("absent", Field{"reason", exit_reason(), reason::ept_violation},
        Field{"qualification", get(vmcs::qualification) & (final_access | linear_valid | 7), linear_valid | read},
        Field{"physical", get(vmcs::guest_physical), window + 8},
        Field{"linear", get(vmcs::guest_linear), (u64{1} << 39) + 0x1000});
  prepare_walk(ept_read | ept_write_back, false);
  enter();
  check("read-only, to set the accessed bit", Field{"reason", exit_reason(), reason::ept_violation},
        Field{"qualification", get(vmcs::qualification) & (final_access | linear_valid | readable | writable | write),
              linear_valid | readable | write},
        Field{"physical", get(vmcs::guest_physical), window + 8});
  prepare_walk(open, false);
  enter();
  auto* const table = reinterpret_cast<u64*>(frame_memory[0]);
  check("open", Field{"reason", exit_reason(), reason::vmcall}, Field{"guest entry", table[1] & 0xfff, 0x27});
  if (!ept_can(ept_capability::accessed_dirty)) {
    absent("count as writes with accessed and dirty bits");
  } else {
    prepare_walk(open, true);
    enter();
    check("count as writes with accessed and dirty bits",
          Field{"bits", ept_tables.window1[0] & (ept_accessed | ept_dirty), ept_accessed | ept_dirty});
  }
  prepare_walk(open, false);
  registers.rdi = (u64{1} << 39) | 0x2000;
  enter();
  check("page fault of the guest's own", Field{"arrived", arrived(14), 1},
        Field{"cr2", read_cr2(), (u64{1} << 39) + 0x2000});
}

void page_sizes() {
  begin_group("ept page sizes");
  for (const bool huge : {false, true}) {
    const char* const name = huge ? "1 GiB" : "2 MiB";
    if (!ept_can(huge ? ept_capability::large_1g : ept_capability::large_2m)) {
      absent(name), absent("read-only");
      continue;
    }
    for (const bool read_only : {false, true}) {
      prepare_access(read_only ? Access::Write : Access::Read, 0);
      frame_memory[2][0x10] = 0x5b;
      const u64 rights = (read_only ? ept_read : ept_all) | ept_large | ept_write_back;
      const u64 offset = huge ? frame(2) : frame(2) & 0x1f'ffff;
      if (huge) {
        ept_tables.level3[1] = rights;
      } else {
        ept_tables.window2[0] = (frame(2) & ~u64{0x1f'ffff}) | rights;
      }
      registers.rdi = window + offset + 0x10;
      enter();
      begin_line(name, ", ");
      if (read_only) {
        check("read-only", Field{"reason", exit_reason(), reason::ept_violation},
              Field{"qualification", get(vmcs::qualification) & defined_bits,
                    write | readable | linear_valid | final_access},
              Field{"physical", get(vmcs::guest_physical), window + offset + 0x10});
      } else {
        check("read", Field{"reason", exit_reason(), reason::vmcall}, Field{"al", registers.rax & 0xff, 0x5b});
      }
    }
  }
}

void modes() {
  begin_group("ept under");
  if (prepare(Mode::Real, "\xa0\x08\x00"_code)) {
    put(vmcs::ds_base, window);
    ept_tables.window1[0] = frame(3) | open;
    enter();
    check("real mode", Field{"reason", exit_reason(), reason::vmcall}, Field{"al", registers.rax & 0xff, 3});
    prepare(Mode::Real, "\xa0\x08\x00"_code);
    put(vmcs::ds_base, window);
    enter();
    check("real mode, absent", Field{"reason", exit_reason(), reason::ept_violation},
          Field{"qualification", get(vmcs::qualification) & defined_bits, read | linear_valid | final_access},
          Field{"physical", get(vmcs::guest_physical), window + 8});
    prepare(Mode::Protected, read_code);
    registers.rdi = window + 8;
    ept_tables.window1[0] = frame(3) | open;
    enter();
    check("protected mode without paging", Field{"reason", exit_reason(), reason::vmcall},
          Field{"al", registers.rax & 0xff, 3});
  } else {
    for (const char* name : {"real mode", "real mode, absent", "protected mode without paging"}) absent(name);
  }
  prepare_ept(Mode::Pae, read_code);
  for (u32 i = 0; i < 4; ++i) put(vmcs::guest_pdpte_0 + 2 * i, pae_pointers[i]);
  registers.rdi = data_page;
  check_finished("pae, pdptes of the vmcs");
  prepare_ept(Mode::Pae, read_code);
  for (u32 i = 0; i < 4; ++i) put(vmcs::guest_pdpte_0 + 2 * i, i == 1 ? 3 : pae_pointers[i]);
  check_entry_failure("pae, a pdpte with a reserved bit", reason::invalid_state, 2);
  prepare_ept(Mode::Compatibility, read_code);
  check_finished("compatibility mode");
}

void events() {
  begin_group("ept violation of an event");
  prepare_ept(Mode::Long, "\xcd\x21"_code);
  put(vmcs::idtr_base, window);
  put(vmcs::idtr_limit, 0xfff);
  enter();
  check("int 21h", Field{"reason", exit_reason(), reason::ept_violation},
        Field{"physical", get(vmcs::guest_physical), window + 0x210},
        Field{"vectoring", get(vmcs::vectoring), event_valid | event_software | 0x21});
  prepare_ept(Mode::Long, "\x90"_code);
  set(vmcs::guest_rflags, 0x200);
  put(vmcs::entry_event, event_valid | 0x30);
  put(vmcs::idtr_base, window);
  put(vmcs::idtr_limit, 0xfff);
  enter();
  check("injected interrupt", Field{"reason", exit_reason(), reason::ept_violation},
        Field{"vectoring", get(vmcs::vectoring), event_valid | 0x30});
}

}  // namespace

void check_nested_paging() {
  if (!has_secondary(secondary_control::ept)) {
    begin_group("ept");
    return absent("all of it");
  }
  begin_group("ept violation");
  for (const Row& row : violations) check_violation(row);
  begin_group("ept misconfiguration");
  for (const Bad& row : misconfigured) check_misconfiguration(row);
  if (!ept_can(ept_capability::execute_only)) {
    check_misconfiguration({"execute-only, which does not exist", ept_execute | ept_write_back, 1});
  } else {
    absent("execute-only, which does not exist");
  }
  begin_group("ept access");
  for (const Row& row : granted) check_granted(row);
  walks();
  page_sizes();
  modes();
  events();
}

}  // namespace guest
