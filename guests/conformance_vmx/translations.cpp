// What INVEPT, INVVPID, entries and the guest's own instructions must remove from the TLB, and what VPIDs keep apart (Intel SDM
// vol. 3, 28.3): only what is guaranteed.

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr Code read_code = "\x8a\x07"_code;
constexpr u64 rights = 7, linear = u64{1} << 39;

alignas(4096) u64 root[512], level3[512], level2[512], level1[512];

/// The guest's own tables: the host's, and from `linear` on a page that checks move.
void fill_tables(unsigned number, u64 flags = 0) {
  root[0] = *reinterpret_cast<u64*>(read_cr3() & ~u64{0xfff});
  root[1] = reinterpret_cast<u64>(level3) | rights;
  level3[0] = reinterpret_cast<u64>(level2) | rights;
  level2[0] = reinterpret_cast<u64>(level1) | rights;
  level1[0] = frame(number) | rights | flags;
}

void prepare_guest(Code code, u16 vpid, u64 flags = 0) {
  fill(ept_tables);
  fill_tables(0, flags);
  prepare(code);
  put(vmcs::guest_cr3, reinterpret_cast<u64>(root));
  set(vmcs::guest_cr4, 0x80);
  registers.rdi = linear + 8;
  if (vpid == 0) return;
  enable(Word::Secondary, secondary_control::vpid);
  put(vmcs::vpid, vpid);
}

u64 again() {
  put(vmcs::guest_rip, code_page);
  enter();
  return exit_reason() == reason::vmcall ? registers.rax & 0xff : any;
}

struct Row {
  const char* name;
  unsigned type;
  u64 flags;
};
constexpr Row rows[] = {
    {"address", 0, 0},
    {"address, global page", 0, 0x100},
    {"single", 1, 0},
    {"single, global page", 1, 0x100},
    {"all", 2, 0},
    {"all, global page", 2, 0x100},
    {"single but global", 3, 0},
};

void by_vpid() {
  begin_group("invvpid");
  for (const Row& row : rows) {
    if (!has_secondary(secondary_control::vpid) || !ept_can(ept_capability::invvpid_address + row.type)) {
      absent(row.name);
      continue;
    }
    prepare_guest(read_code, 7, row.flags);
    invvpid(2, 0, 0);
    const u64 before = again();
    level1[0] = frame(1) | rights | row.flags;
    invvpid(row.type, row.type == 2 ? 0 : 7, linear + 8);
    const u64 behind = again();
    check(row.name, Field{"before", before, 0}, Field{"behind", behind, 1});
  }
}

void by_ept() {
  begin_group("invept");
  for (const bool all : {false, true}) {
    const char* const name = all ? "all" : "single";
    if (!has_secondary(secondary_control::ept) ||
        !ept_can(all ? ept_capability::invept_all : ept_capability::invept_single)) {
      absent(name);
      continue;
    }
    prepare_ept(Mode::Long, read_code);
    registers.rdi = window + 8;
    ept_tables.window1[0] = frame(1) | ept_all | ept_write_back;
    const u64 before = again();
    ept_tables.window1[0] = frame(2) | ept_all | ept_write_back;
    invept(all ? 2 : 1, all ? 0 : ept_pointer(ept_tables));
    const u64 behind = again();
    check(name, Field{"before", before, 1}, Field{"behind", behind, 2});
  }
}

void by_entries() {
  begin_group("entry");
  prepare_guest(read_code, 0);
  const u64 before = again();
  level1[0] = frame(1) | rights;
  const u64 behind = again();
  check("without vpid forgets", Field{"before", before, 0}, Field{"behind", behind, 1});
  if (!has_secondary(secondary_control::vpid))
    return absent("another vpid"), absent("back to the first with single invalidation");
  prepare_guest(read_code, 8);
  invvpid(2, 0, 0);
  const u64 first = again();
  level1[0] = frame(1) | rights;
  put(vmcs::vpid, 9);
  const u64 second = again();
  check("another vpid", Field{"before", first, 0}, Field{"behind", second, 1});
  level1[0] = frame(2) | rights;
  invvpid(1, 8, 0);
  put(vmcs::vpid, 8);
  const u64 third = again();
  check("back to the first with single invalidation", Field{"behind", third, 2});
}

void by_the_guest() {
  begin_group("invalidation in the guest");
  // mov al, [rdi]; mov ah, al; xchg [rsi], rbx; INSTRUCTION; mov al, [rdi]
  struct Inside {
    const char* name;
    Code code;
  };
  constexpr Inside inside[] = {
      {"invlpg", "\x8a\x07\x88\xc4\x48\x87\x1e\x0f\x01\x3f\x8a\x07"_code},
      {"mov cr3", "\x8a\x07\x88\xc4\x48\x87\x1e\x0f\x20\xd9\x0f\x22\xd9\x8a\x07"_code},
      {"mov cr4 with pge", "\x8a\x07\x88\xc4\x48\x87\x1e\x0f\x20\xe1\x80\xf1\x80\x0f\x22\xe1\x8a\x07"_code},
  };
  const bool exits = (must_be_1(Word::Primary) & primary_control::cr3_load) != 0;
  for (const u16 vpid : {u16{0}, u16{7}}) {
    for (const Inside& row : inside) {
      begin_line(vpid == 0 ? "" : "with vpid, ");
      const bool moves_cr3 = row.code.bytes[8] == '\x20' && row.code.bytes[9] == '\xd9';
      if ((vpid != 0 && !has_secondary(secondary_control::vpid)) || (moves_cr3 && exits)) {
        absent(row.name);
        continue;
      }
      prepare_guest(row.code, vpid);
      if (vpid != 0) invvpid(2, 0, 0);
      registers.rsi = reinterpret_cast<u64>(&level1[0]);
      registers.rbx = frame(1) | rights;
      enter();
      check(row.name, Field{"reason", exit_reason(), reason::vmcall}, Field{"before", registers.rax >> 8 & 0xff, 0},
            Field{"behind", registers.rax & 0xff, 1});
    }
  }
}

}  // namespace

void check_translations() {
  by_vpid();
  by_ept();
  by_entries();
  by_the_guest();
}

}  // namespace guest
