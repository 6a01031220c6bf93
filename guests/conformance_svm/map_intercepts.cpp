// Intercepts by the I/O and MSR permission maps (AMD APM vol. 2, 15.10 and 15.11).

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 in = 1, string = 4, repeat = 8, a16 = 1u << 7, a32 = 1u << 8, a64 = 1u << 9, segment_shift = 10;
constexpr u64 es = 0, cs = 1, ds = 3, fs = 4;
constexpr u64 bytes(u64 size) { return size << 4; }

struct Row {
  const char* name;
  Mode mode;
  Code code;
  u64 info;  ///< EXITINFO1 without the port, address size (simple accesses) and, without decode assists, segment
  u64 segment = 0;
  u16 port = 0x234;
};

constexpr Row rows[] = {
    {"in al, imm", Mode::Long, "\xe4\x80"_code, in | bytes(1), 0, 0x80},
    {"in eax, imm", Mode::Long, "\xe5\x80"_code, in | bytes(4), 0, 0x80},
    {"out imm, al", Mode::Long, "\xe6\x80"_code, bytes(1), 0, 0x80},
    {"out imm, eax", Mode::Long, "\xe7\x80"_code, bytes(4), 0, 0x80},
    {"in al, dx", Mode::Long, "\xec"_code, in | bytes(1)},
    {"in ax, dx", Mode::Long, "\x66\xed"_code, in | bytes(2)},
    {"in eax, dx", Mode::Long, "\xed"_code, in | bytes(4)},
    {"in eax, dx with rex.w", Mode::Long, "\x48\xed"_code, in | bytes(4)},
    {"out dx, al", Mode::Long, "\xee"_code, bytes(1)},
    {"out dx, ax", Mode::Long, "\x66\xef"_code, bytes(2)},
    {"out dx, eax", Mode::Long, "\xef"_code, bytes(4)},
    {"in ax, dx, 16-bit", Mode::Protected16, "\xed"_code, in | bytes(2)},
    {"in eax, dx, real mode", Mode::Real, "\x66\xed"_code, in | bytes(4)},
    {"insb", Mode::Long, "\x6c"_code, in | string | bytes(1) | a64, es},
    {"insw", Mode::Long, "\x66\x6d"_code, in | string | bytes(2) | a64, es},
    {"insd", Mode::Long, "\x6d"_code, in | string | bytes(4) | a64, es},
    {"rep insb", Mode::Long, "\xf3\x6c"_code, in | string | repeat | bytes(1) | a64, es},
    {"insb, 32-bit address", Mode::Long, "\x67\x6c"_code, in | string | bytes(1) | a32, es},
    {"insb, 16-bit code", Mode::Protected16, "\x6c"_code, in | string | bytes(1) | a16, es},
    {"insd, protected", Mode::Protected, "\x6d"_code, in | string | bytes(4) | a32, es},
    {"insb, fs before it", Mode::Protected, "\x64\x6c"_code, in | string | bytes(1) | a32, es},
    {"outsb", Mode::Long, "\x6e"_code, string | bytes(1) | a64, ds},
    {"outsw", Mode::Long, "\x66\x6f"_code, string | bytes(2) | a64, ds},
    {"outsd", Mode::Long, "\x6f"_code, string | bytes(4) | a64, ds},
    {"rep outsb", Mode::Long, "\xf3\x6e"_code, string | repeat | bytes(1) | a64, ds},
    {"outsb from fs", Mode::Long, "\x64\x6e"_code, string | bytes(1) | a64, fs},
    {"outsb from cs", Mode::Protected, "\x2e\x6e"_code, string | bytes(1) | a32, cs},
    {"outsw, real mode", Mode::Real, "\x6f"_code, string | bytes(2) | a16, ds},
};

void set_operands(const Row& row) {
  prepare(row.mode, row.code);
  registers.rdx = row.port;
  registers.rdi = registers.rsi = row.mode == Mode::Long || row.mode == Mode::Protected ? data_page : 0x200;
  registers.rcx = 3;
}

void check_row(const Row& row) {
  set_operands(row);
  open_maps();
  io_map[row.port / 8] = static_cast<u8>(1u << row.port % 8);
  intercept(exit_code::io);
  enter();
  const bool is_string = (row.info & string) != 0;
  u64 covered = 0xffff'007d;
  if (is_string) covered |= a16 | a32 | a64;
  u64 wanted = row.info | u64{row.port} << 16;
  if (is_string && has(svm_feature::decode_assists)) {
    covered |= u64{7} << segment_shift;
    wanted |= row.segment << segment_shift;
  }
  check(row.name, Field{"exit", vmcb.exit_code, exit_code::io}, Field{"rip", code_offset(), 0},
        Field{"info1", vmcb.exit_info1 & covered, wanted},
        Field{"info2", vmcb.exit_info2 - (vmcb.rip - code_offset()), row.code.size}, Field{"rcx", registers.rcx, 3});
}

struct Bit {
  const char* name;
  Code code;
  u16 port, bit;
  bool exits;
};

constexpr Bit bits[] = {
    {"byte, its own bit", "\xee"_code, 0x80, 0x80, true},
    {"byte, the bit below", "\xee"_code, 0x80, 0x7f, false},
    {"byte, the bit above", "\xee"_code, 0x80, 0x81, false},
    {"word, its second bit", "\x66\xef"_code, 0x80, 0x81, true},
    {"word, the bit above", "\x66\xef"_code, 0x80, 0x82, false},
    {"doubleword, its second bit", "\xef"_code, 0x80, 0x81, true},
    {"doubleword, its fourth bit", "\xef"_code, 0x80, 0x83, true},
    {"doubleword, the bit above", "\xef"_code, 0x80, 0x84, false},
    {"word over a byte of the map", "\x66\xef"_code, 0x87, 0x88, true},
    {"port 0", "\xee"_code, 0, 0, true},
    {"port ffff", "\xee"_code, 0xffff, 0xffff, true},
};

void check_bit(const Bit& each) {
  prepare(each.code);
  registers.rdx = each.port;
  open_maps();
  io_map[each.bit / 8] = static_cast<u8>(1u << each.bit % 8);
  intercept(exit_code::io);
  if (each.exits) {
    check_exit(each.name, {exit_code::io});
  } else {
    check_finished(each.name);
  }
}

void other_io() {
  prepare("\xed"_code);
  registers.rdx = 0xfffe;
  open_maps();
  io_map[0x2000] = 1;
  intercept(exit_code::io);
  check_exit("doubleword beyond port ffff", {exit_code::io});
  prepare("\xee"_code);
  registers.rdx = 0x80;
  io_map[0x80 / 8] = 0xff;
  check_finished("bits set, no intercept");
  prepare("\xee"_code);
  at_level_3();
  registers.rdx = 0x80;
  intercept(exit_code::io);
  check_exception("level 3 without the privilege", 13, 0, 0);
  prepare("\xee"_code);
  at_level_3();
  vmcb.rflags |= 0x3000;
  registers.rdx = 0x80;
  intercept(exit_code::io);
  check_exit("level 3 with iopl 3", {exit_code::io});
}

constexpr Code rdmsr = "\x0f\x32"_code, wrmsr = "\x0f\x30"_code;

struct Msr {
  const char* name;
  u32 number;
  unsigned position;  ///< of its two bits in the map, counted in pairs
  bool in_map = true, exists = true;
};

constexpr Msr msrs[] = {
    {"0", 0, 0, true, false},
    {"10h", 0x10, 0x10, true, false},
    {"277h", 0x277, 0x277},
    {"1fffh", 0x1fff, 0x1fff, true, false},
    {"c0000000h", 0xc000'0000, 0x2000, true, false},
    {"star", 0xc000'0081, 0x2081},
    {"kernel_gs_base", 0xc000'0102, 0x2102},
    {"c0001fffh", 0xc000'1fff, 0x3fff, true, false},
    {"c0010000h", 0xc001'0000, 0x4000, true, false},
    {"hsave", 0xc001'0117, 0x4117},
    {"c0011fffh", 0xc001'1fff, 0x5fff, true, false},
    {"2000h", 0x2000, 0, false, false},
    {"c0002000h", 0xc000'2000, 0, false, false},
    {"c0012000h", 0xc001'2000, 0, false, false},
    {"bfffffffh", 0xbfff'ffff, 0, false, false},
};

void prepare_msr(Code code, const Msr& msr) {
  prepare(code);
  registers.rcx = msr.number;
  const u64 value = msr.exists ? read_msr(msr.number) : 0;
  vmcb.rax = value & 0xffff'ffff;
  registers.rdx = value >> 32;
  intercept(exit_code::msr);
}

void set_bit(unsigned bit) { msr_map[bit / 8] = static_cast<u8>(msr_map[bit / 8] ^ 1u << bit % 8); }

void check_msr(const Msr& msr) {
  for (const bool write : {false, true}) {
    const Code code = write ? wrmsr : rdmsr;
    const char* const access = write ? "write of " : "read of ";
    open_maps();
    if (msr.in_map) set_bit(2 * msr.position + write);
    prepare_msr(code, msr);
    begin_line(access);
    check_exit(msr.name, {exit_code::msr, 2, write});
    if (!msr.in_map || !msr.exists) continue;
    open_maps();
    __builtin_memset(msr_map, 0xff, sizeof msr_map);
    set_bit(2 * msr.position + write);
    prepare_msr(code, msr);
    begin_line("all others set, ", access);
    check_finished(msr.name);
    prepare_msr(code, msr);
    release(exit_code::msr);
    __builtin_memset(msr_map, 0xff, sizeof msr_map);
    begin_line("all set, no intercept, ", access);
    check_finished(msr.name);
  }
}

}  // namespace

void check_io_intercepts() {
  begin_group("i/o");
  for (const Row& row : rows) check_row(row);
  begin_group("i/o map");
  for (const Bit& each : bits) check_bit(each);
  other_io();
  open_maps();
}

void check_msr_intercepts() {
  begin_group("msr");
  for (const Msr& msr : msrs) check_msr(msr);
  open_maps();
  for (const Code code : {rdmsr, wrmsr}) {
    prepare(code);
    at_level_3();
    registers.rcx = msr_star;
    intercept(exit_code::msr);
    set_bit(2 * 0x2081);
    begin_line(code.bytes == rdmsr.bytes ? "read" : "write");
    check_exception(" at level 3", 13, 0, 0);
  }
  open_maps();
}

}  // namespace guest
