// What must be gone from the TLB, and what address spaces keep apart (AMD APM vol. 2, 15.16): only what is guaranteed.

#include "guests/conformance_svm/tables.h"

namespace guest {

namespace {

constexpr u64 open = present | writable | user;
constexpr Code read_code = "\x8a\x07"_code;

void prepare_guest(Code code) {
  prepare(code);
  fill(guest_tables);
  vmcb.cr3 = reinterpret_cast<u64>(&guest_tables);
  registers.rdi = window + 8;
  guest_tables.window1[0] = frame(0) | open;
}

/// The guest again from its beginning, with nothing said about the TLB.
u64 again(u8 control, u32 asid) {
  vmcb.rip = code_page;
  vmcb.tlb_control = control;
  vmcb.asid = asid;
  enter();
  return vmcb.exit_code == exit_code::vmmcall ? vmcb.rax & 0xff : any;
}

void invlpga(u64 address, u32 asid) { asm volatile("invlpga %%rax, %%ecx" : : "a"(address), "c"(asid) : "memory"); }

struct Row {
  const char* name;
  u8 control;
  bool needs_flush_by_asid;
  u64 flags;
};
constexpr Row controls[] = {
    {"1, all", 1, false, open},
    {"1, all, global page", 1, false, open | global},
    {"3, this guest's", 3, true, open},
    {"3, this guest's, global page", 3, true, open | global},
    {"7, this guest's but global ones", 7, true, open},
};

void flushes() {
  begin_group("tlb_control");
  for (const Row& row : controls) {
    if (row.needs_flush_by_asid && !has(svm_feature::flush_by_asid)) {
      absent(row.name);
      continue;
    }
    prepare_guest(read_code);
    vmcb.cr4 |= 0x80;
    guest_tables.window1[0] = frame(0) | row.flags;
    const u64 first = again(1, 2);
    guest_tables.window1[0] = frame(1) | row.flags;
    const u64 second = again(row.control, 2);
    check(row.name, Field{"before", first, 0}, Field{"behind", second, 1});
  }
  begin_group("invlpga");
  prepare_guest(read_code);
  const u64 first = again(1, 2);
  guest_tables.window1[0] = frame(1) | open;
  invlpga(window + 8, 2);
  const u64 second = again(0, 2);
  check("of the guest's address space", Field{"before", first, 0}, Field{"behind", second, 1});
}

void inside() {
  begin_group("invalidation in the guest");
  // mov al, [rdi]; mov ah, al; xchg [rsi], rbx; INSTRUCTION; mov al, [rdi]
  struct Inside {
    const char* name;
    Code code;
  };
  constexpr Inside rows[] = {
      {"invlpg", "\x8a\x07\x88\xc4\x48\x87\x1e\x0f\x01\x3f\x8a\x07"_code},
      {"mov cr3", "\x8a\x07\x88\xc4\x48\x87\x1e\x0f\x20\xd9\x0f\x22\xd9\x8a\x07"_code},
      {"mov cr4 with pge", "\x8a\x07\x88\xc4\x48\x87\x1e\x0f\x20\xe1\x80\xf1\x80\x0f\x22\xe1\x8a\x07"_code},
  };
  for (const Inside& row : rows) {
    prepare_guest(row.code);
    registers.rsi = reinterpret_cast<u64>(&guest_tables.window1[0]);
    registers.rbx = frame(1) | open;
    enter();
    check(row.name, Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"before", vmcb.rax >> 8 & 0xff, 0},
          Field{"behind", vmcb.rax & 0xff, 1});
  }
}

void address_spaces() {
  begin_group("asid");
  prepare_guest(read_code);
  const u64 first = again(1, 2);
  guest_tables.window1[0] = frame(1) | open;
  const u64 other = again(0, 3);
  check("a new one has no translations", Field{"before", first, 0}, Field{"behind", other, 1});
  prepare_guest("\x8a\x07"_code);
  *reinterpret_cast<volatile u8*>(data_page + 8) = 0x77;
  registers.rdi = data_page + 8;
  vmcb.cr3 = reinterpret_cast<u64>(&guest_tables);
  guest_tables.level2[data_page >> 21] = reinterpret_cast<u64>(guest_tables.window1) | open;
  for (unsigned i = 0; i < 512; ++i) {
    const u64 page = (data_page & ~u64{0x1f'ffff}) + u64{i} * 4096;
    guest_tables.window1[i] = (page == data_page ? frame(2) : page) | open;
  }
  vmcb.asid = 4;
  vmcb.tlb_control = 0;
  enter();
  check("the host's translations are not the guest's", Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        Field{"al", vmcb.rax & 0xff, 2}, Field{"host", *reinterpret_cast<volatile u8*>(data_page + 8), 0x77});
  if (!has(svm_feature::nested_paging)) return absent("nested tables that change, tlb_control 1");
  prepare_nested(Mode::Long, read_code);
  registers.rdi = window + 8;
  nested_tables.window1[0] = frame(1) | open;
  const u64 before = again(1, 5);
  nested_tables.window1[0] = frame(2) | open;
  const u64 behind = again(1, 5);
  check("nested tables that change, tlb_control 1", Field{"before", before, 1}, Field{"behind", behind, 2});
}

}  // namespace

void check_translations() {
  flushes();
  inside();
  address_spaces();
}

}  // namespace guest
