// Exits by the I/O and MSR bitmaps, and without them (Intel SDM vol. 3, 25.1.3, 24.6.4, 24.6.9, table 27-5).

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

constexpr u64 in = 8, string = 0x10, repeat = 0x20, immediate = 0x40;
alignas(4096) u8 io_maps[0x2000];
alignas(4096) u8 msr_map[0x1000];

struct Row {
  const char* name;
  Mode mode;
  Code code;
  u64 qualification;
  u16 port = 0x234;
  u64 information = any;  ///< address size and, for OUTS, segment
};
constexpr u64 a16 = 0, a32 = 1u << 7, a64 = 2u << 7, from_ds = 3u << 15, from_fs = 4u << 15, from_cs = 1u << 15;

constexpr Row rows[] = {
    {"in al, imm", Mode::Long, "\xe4\x80"_code, in | immediate, 0x80},
    {"in eax, imm", Mode::Long, "\xe5\x80"_code, in | immediate | 3, 0x80},
    {"out imm, al", Mode::Long, "\xe6\x80"_code, immediate, 0x80},
    {"out imm, ax", Mode::Long, "\x66\xe7\x80"_code, immediate | 1, 0x80},
    {"in al, dx", Mode::Long, "\xec"_code, in},
    {"in ax, dx", Mode::Long, "\x66\xed"_code, in | 1},
    {"in eax, dx", Mode::Long, "\xed"_code, in | 3},
    {"out dx, al", Mode::Long, "\xee"_code, 0},
    {"out dx, eax", Mode::Long, "\xef"_code, 3},
    {"insb", Mode::Long, "\x6c"_code, in | string, 0x234, a64},
    {"insw", Mode::Long, "\x66\x6d"_code, in | string | 1, 0x234, a64},
    {"insd", Mode::Long, "\x6d"_code, in | string | 3, 0x234, a64},
    {"rep insb", Mode::Long, "\xf3\x6c"_code, in | string | repeat, 0x234, a64},
    {"insb, 32-bit address", Mode::Long, "\x67\x6c"_code, in | string, 0x234, a32},
    {"outsb", Mode::Long, "\x6e"_code, string, 0x234, a64 | from_ds},
    {"outsd", Mode::Long, "\x6f"_code, string | 3, 0x234, a64 | from_ds},
    {"rep outsw", Mode::Long, "\x66\xf3\x6f"_code, string | repeat | 1, 0x234, a64 | from_ds},
    {"outsb from fs", Mode::Long, "\x64\x6e"_code, string, 0x234, a64 | from_fs},
    {"insd, 32-bit code", Mode::Pae, "\x6d"_code, in | string | 3, 0x234, a32},
    {"outsb from cs, 32-bit code", Mode::Pae, "\x2e\x6e"_code, string, 0x234, a32 | from_cs},
    {"in eax, real mode", Mode::Real, "\x66\xed"_code, in | 3},
    {"outsw, real mode", Mode::Real, "\x6f"_code, string | 1, 0x234, a16 | from_ds},
};

void use_io_maps() {
  enable(Word::Primary, primary_control::io_maps);
  put(vmcs::io_map_a, reinterpret_cast<u64>(io_maps));
  put(vmcs::io_map_b, reinterpret_cast<u64>(io_maps) + 0x1000);
}

void check_row(const Row& row, bool maps) {
  if (!prepare(row.mode, row.code)) return absent(row.name);
  registers.rdx = row.port;
  registers.rdi = registers.rsi = row.mode == Mode::Real ? 0x200 : data_page;
  registers.rcx = 3;
  if (maps) {
    __builtin_memset(io_maps, 0, sizeof io_maps);
    io_maps[row.port / 8] = static_cast<u8>(1u << row.port % 8);
    use_io_maps();
  } else {
    enable(Word::Primary, primary_control::io);
  }
  const bool is_string = (row.qualification & string) != 0;
  const bool has_information = is_string && (read_msr(msr_vmx_basic) >> 54 & 1) != 0;
  const bool is_out = (row.qualification & in) == 0;
  enter();
  check(row.name, Field{"reason", exit_reason(), reason::io}, Field{"rip", code_offset(), 0},
        Field{"length", get(vmcs::instruction_length), row.code.size},
        Field{"qualification", get(vmcs::qualification), row.qualification | u64{row.port} << 16},
        Field{"information", get(vmcs::instruction_information) & (is_out ? 0x3'8380u : 0x380u),
              has_information ? row.information : any},
        Field{"linear", get(vmcs::guest_linear), is_string ? registers.rdi : any}, Field{"rcx", registers.rcx, 3});
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
    {"doubleword, its fourth bit", "\xef"_code, 0x80, 0x83, true},
    {"doubleword, the bit above", "\xef"_code, 0x80, 0x84, false},
    {"port 7fff", "\xee"_code, 0x7fff, 0x7fff, true},
    {"port 8000", "\xee"_code, 0x8000, 0x8000, true},
    {"word over both maps", "\x66\xef"_code, 0x7fff, 0x8000, true},
    {"port ffff", "\xee"_code, 0xffff, 0xffff, true},
};

void check_bit(const Bit& each) {
  prepare(each.code);
  registers.rdx = each.port;
  __builtin_memset(io_maps, 0, sizeof io_maps);
  io_maps[each.bit / 8] = static_cast<u8>(1u << each.bit % 8);
  use_io_maps();
  if (each.exits) return check_exit(each.name, {reason::io, each.code.size});
  check_finished(each.name);
}

void other_io() {
  prepare("\x66\xef"_code);
  registers.rdx = 0xffff;
  __builtin_memset(io_maps, 0, sizeof io_maps);
  use_io_maps();
  check_exit("an access that wraps around", {reason::io, 2});
  prepare("\xee"_code);
  registers.rdx = 0x80;
  use_io_maps();
  enable(Word::Primary, primary_control::io);
  check_finished("maps before unconditional exits");
  prepare("\xee"_code);
  at_level_3();
  registers.rdx = 0x80;
  enable(Word::Primary, primary_control::io);
  put(vmcs::exceptions, 1u << 13);
  check_exit("level 3 without the privilege", {reason::exception});
}

constexpr Code rdmsr = "\x0f\x32"_code, wrmsr = "\x0f\x30"_code;

struct Msr {
  const char* name;
  u32 number;
  unsigned byte;  ///< of its read bit in the map; that for writes is 2048 bytes on
  bool in_map = true, exists = true;
};
constexpr Msr msrs[] = {
    {"0", 0, 0, true, false},
    {"sysenter_cs", msr_sysenter_cs, msr_sysenter_cs / 8},
    {"1fffh", 0x1fff, 0x3ff, true, false},
    {"c0000000h", 0xc000'0000, 0x400, true, false},
    {"lstar", msr_lstar, 0x400 + 0x82 / 8},
    {"kernel_gs_base", msr_kernel_gs_base, 0x400 + 0x102 / 8},
    {"c0001fffh", 0xc000'1fff, 0x7ff, true, false},
    {"2000h", 0x2000, 0, false, false},
    {"c0002000h", 0xc000'2000, 0, false, false},
    {"bfffffffh", 0xbfff'ffff, 0, false, false},
};

void prepare_msr(Code code, const Msr& msr, bool maps) {
  prepare(code);
  registers.rcx = msr.number;
  const u64 value = msr.exists ? read_msr(msr.number) : 0;
  registers.rax = value & 0xffff'ffff;
  registers.rdx = value >> 32;
  if (!maps) return;
  enable(Word::Primary, primary_control::msr_maps);
  put(vmcs::msr_map, reinterpret_cast<u64>(msr_map));
}

void check_msr(const Msr& msr) {
  for (const bool write : {false, true}) {
    const Code code = write ? wrmsr : rdmsr;
    const u64 wanted = write ? reason::wrmsr : reason::rdmsr;
    const char* const access = write ? "write of " : "read of ";
    const unsigned byte = msr.byte + (write ? 2048 : 0);
    const u8 bit = static_cast<u8>(1u << msr.number % 8);
    prepare_msr(code, msr, false);
    begin_line("without maps, ", access);
    check_exit(msr.name, {wanted, 2, 0});
    if (!has(Word::Primary, primary_control::msr_maps)) {
      begin_line(access), absent(msr.name);
      continue;
    }
    __builtin_memset(msr_map, 0, sizeof msr_map);
    if (msr.in_map) msr_map[byte] = bit;
    prepare_msr(code, msr, true);
    begin_line(access);
    check_exit(msr.name, {wanted, 2, 0});
    if (!msr.in_map || !msr.exists) continue;
    __builtin_memset(msr_map, 0xff, sizeof msr_map);
    msr_map[byte] = static_cast<u8>(~bit);
    prepare_msr(code, msr, true);
    begin_line("all others set, ", access);
    check_finished(msr.name);
  }
}

}  // namespace

void check_map_exits() {
  begin_group("i/o");
  for (const Row& row : rows) check_row(row, true);
  begin_group("i/o, unconditional");
  for (const Row& row : {rows[0], rows[6], rows[9], rows[16]}) check_row(row, false);
  begin_group("i/o map");
  for (const Bit& each : bits) check_bit(each);
  other_io();
  begin_group("msr");
  for (const Msr& msr : msrs) check_msr(msr);
}

}  // namespace guest
