// Exits for control and debug registers: masks and read shadows, CR3 targets, CR8, and what guests read (Intel SDM vol. 3,
// 25.1.3, 25.3, tables 27-3 and 27-4).

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

constexpr u64 to = 0, from = 1u << 4, clts = 2u << 4, lmsw = 3u << 4, in_memory = 1u << 6;
constexpr u64 general(u64 number) { return number << 8; }
constexpr u64 cr0_pe = 1, cr0_mp = 2, cr0_em = 4, cr0_ts = 8, cr0_wp = 1u << 16, cr4_pge = 0x80;

struct Cr0 {
  const char* name;
  Code code;
  u64 mask, shadow, change;  ///< what RAX differs in from CR0
  bool exits;
  u64 qualification = any;
};
constexpr Code mov_to_cr0 = "\x0f\x22\xc0"_code, lmsw_ax = "\x0f\x01\xf0"_code, clts_code = "\x0f\x06"_code;
constexpr Cr0 cr0_rows[] = {
    {"mov, nothing masked", mov_to_cr0, 0, 0, cr0_ts, false},
    {"mov, the masked bit as its shadow", mov_to_cr0, cr0_ts, 0, 0, false},
    {"mov, the masked bit not as its shadow", mov_to_cr0, cr0_ts, 0, cr0_ts, true, to},
    {"mov, its shadow not as the register", mov_to_cr0, cr0_ts, cr0_ts, 0, true, to},
    {"mov, another bit masked", mov_to_cr0, cr0_wp, cr0_wp, cr0_ts, false},
    {"clts, nothing masked", clts_code, 0, cr0_ts, 0, false},
    {"clts, masked, shadow 0", clts_code, cr0_ts, 0, 0, false},
    {"clts, masked, shadow 1", clts_code, cr0_ts, cr0_ts, 0, true, clts},
    {"lmsw, nothing masked", lmsw_ax, 0, 0, cr0_ts, false},
    {"lmsw, ts masked", lmsw_ax, cr0_ts, 0, cr0_ts, true, lmsw},
    {"lmsw, ts masked, as its shadow", lmsw_ax, cr0_ts, cr0_ts, cr0_ts, false},
    {"lmsw, em masked", lmsw_ax, cr0_em, 0, cr0_em, true, lmsw},
    {"lmsw, pe masked, shadow 0", lmsw_ax, cr0_pe, 0, 0, true, lmsw},
    {"lmsw, pe masked, shadow 1, cleared", lmsw_ax, cr0_pe, cr0_pe, cr0_pe, false},
    {"lmsw, bits above masked", lmsw_ax, cr0_wp, cr0_wp, 0, false},
};

void check_cr0(const Cr0& row) {
  prepare(row.code);
  put(vmcs::cr0_mask, row.mask);
  put(vmcs::cr0_shadow, row.shadow);
  registers.rax = get(vmcs::guest_cr0) ^ row.change;
  if (!row.exits) return check_finished(row.name);
  const u64 source = row.code.bytes == lmsw_ax.bytes ? (registers.rax & 0xffff) << 16 : 0;
  check_exit(row.name, {reason::control, row.code.size, row.qualification | source});
}

void check_cr0_exits() {
  begin_group("cr0");
  for (const Cr0& row : cr0_rows) check_cr0(row);
  prepare("\x41\x0f\x22\xc1"_code);
  put(vmcs::cr0_mask, cr0_wp);
  registers.r9 = get(vmcs::guest_cr0) | cr0_wp;
  check_exit("mov from r9", {reason::control, 4, to | general(9)});
  prepare("\x0f\x01\x37"_code);
  put(vmcs::cr0_mask, cr0_ts);
  registers.rdi = data_page;
  *reinterpret_cast<volatile u16*>(data_page) = 0x3b;
  enter();
  check("lmsw from memory", Field{"reason", exit_reason(), reason::control},
        Field{"qualification", get(vmcs::qualification), lmsw | in_memory | 0x3bu << 16},
        Field{"linear", get(vmcs::guest_linear), data_page});
  prepare("\x0f\x20\xc0"_code);
  put(vmcs::cr0_mask, cr0_ts | cr0_wp);
  put(vmcs::cr0_shadow, cr0_ts | cr0_mp);
  const u64 seen = (get(vmcs::guest_cr0) & ~(cr0_ts | cr0_wp)) | cr0_ts;
  enter();
  check("read under mask and shadow", Field{"reason", exit_reason(), reason::vmcall},
        Field{"rax", registers.rax, seen});
  prepare("\x0f\x01\xe0"_code);
  put(vmcs::cr0_mask, cr0_ts);
  put(vmcs::cr0_shadow, cr0_ts);
  enter();
  check("smsw under mask and shadow", Field{"ts", registers.rax & cr0_ts, cr0_ts});
  prepare("\x0f\x22\xc0"_code);
  put(vmcs::cr0_mask, cr0_wp);
  put(vmcs::cr0_shadow, cr0_wp);
  const u64 before = get(vmcs::guest_cr0);
  registers.rax = before | cr0_wp | cr0_ts;
  enter();
  check("masked bits keep their value", Field{"cr0", get(vmcs::guest_cr0), before | cr0_ts});
}

void check_cr4_exits() {
  begin_group("cr4");
  for (const bool differs : {false, true}) {
    prepare("\x0f\x22\xe3"_code);
    put(vmcs::cr4_mask, cr4_pge);
    put(vmcs::cr4_shadow, differs ? 0 : cr4_pge);
    registers.rbx = get(vmcs::guest_cr4) | cr4_pge;
    if (differs) {
      check_exit("masked, not as its shadow", {reason::control, 3, 4 | to | general(3)});
    } else {
      check_finished("masked, as its shadow");
    }
  }
  prepare("\x0f\x20\xe0"_code);
  put(vmcs::cr4_mask, cr4_pge | 0x2000);
  put(vmcs::cr4_shadow, cr4_pge);
  const u64 seen = (get(vmcs::guest_cr4) & ~u64{0x2000}) | cr4_pge;
  enter();
  check("read under mask and shadow", Field{"rax", registers.rax, seen});
  prepare("\x0f\x22\xe0"_code);
  put(vmcs::exceptions, 1u << 13);
  registers.rax = get(vmcs::guest_cr4) & ~u64{0x2000};
  check_exit("vmxe, which is fixed, not masked", {reason::exception});
}

void check_cr3_exits() {
  begin_group("cr3");
  const bool optional = (must_be_1(Word::Primary) & primary_control::cr3_load) == 0;
  constexpr Code load = "\x0f\x22\xdb"_code, store = "\x0f\x20\xdb"_code;
  prepare(load);
  registers.rbx = get(vmcs::guest_cr3);
  enable(Word::Primary, primary_control::cr3_load);
  check_exit("load", {reason::control, 3, 3 | to | general(3)});
  prepare(store);
  enable(Word::Primary, primary_control::cr3_store);
  check_exit("store", {reason::control, 3, 3 | from | general(3)});
  const u64 targets = read_msr(msr_vmx_misc) >> 16 & 0x1ff;
  check("targets", Field{"count", targets, 4});
  for (u32 index = 0; index < 4; ++index) {
    prepare(load);
    registers.rbx = get(vmcs::guest_cr3);
    enable(Word::Primary, primary_control::cr3_load);
    put(vmcs::cr3_target_0 + 2 * index, registers.rbx);
    put(vmcs::cr3_targets, index + 1);
    begin_line("target ", index);
    check_finished("");
    prepare(load);
    registers.rbx = get(vmcs::guest_cr3);
    enable(Word::Primary, primary_control::cr3_load);
    for (u32 i = 0; i < 4; ++i) put(vmcs::cr3_target_0 + 2 * i, i < index ? 0 : registers.rbx);
    put(vmcs::cr3_targets, index);
    begin_line("target ", index);
    check_exit(" beyond the count", {reason::control, 3, 3 | to | general(3)});
  }
  if (!optional) return absent("load without exit"), absent("store without exit");
  prepare(load);
  registers.rbx = get(vmcs::guest_cr3);
  check_finished("load without exit");
  prepare(store);
  enter();
  check("store without exit", Field{"rbx", registers.rbx, get(vmcs::guest_cr3)});
}

void check_cr8_exits() {
  begin_group("cr8");
  prepare("\x44\x0f\x22\xc1"_code);
  enable(Word::Primary, primary_control::cr8_load);
  check_exit("load", {reason::control, 4, 8 | to | general(1)});
  prepare("\x44\x0f\x20\xc2"_code);
  enable(Word::Primary, primary_control::cr8_store);
  check_exit("store", {reason::control, 4, 8 | from | general(2)});
}

void check_debug_exits() {
  begin_group("debug registers");
  for (unsigned number = 0; number < 8; ++number) {
    for (const bool read : {false, true}) {
      const char bytes[] = {0x0f, static_cast<char>(read ? 0x21 : 0x23), static_cast<char>(0xc3 | number << 3)};
      prepare({bytes, 3});
      enable(Word::Primary, primary_control::mov_dr);
      begin_line(read ? "read of dr" : "write of dr", number);
      check_exit("", {reason::debug, 3, number | (read ? 0x10u : 0u) | general(3)});
    }
  }
  prepare("\x0f\x21\xf3"_code);
  enable(Word::Primary, primary_control::mov_dr);
  put(vmcs::guest_dr7, 0x2400);
  put(vmcs::exceptions, 2);
  enable(Word::Entry, entry_control::load_debug);
  check_exit("before general detect", {reason::debug, 3});
  // Unlike others these exits come before #UD and #GP (25.1.3).
  prepare("\x0f\x21\xe3"_code);
  enable(Word::Primary, primary_control::mov_dr);
  set(vmcs::guest_cr4, 8);
  check_exit("dr4 with de", {reason::debug, 3});
  prepare("\x0f\x21\xfb"_code);
  at_level_3();
  enable(Word::Primary, primary_control::mov_dr);
  check_exit("level 3", {reason::debug, 3});
}

}  // namespace

void check_control_exits() {
  check_cr0_exits();
  check_cr4_exits();
  check_cr3_exits();
  check_cr8_exits();
  check_debug_exits();
}

}  // namespace guest
