// Intercepts of control, debug and descriptor-table registers (AMD APM vol. 2, 15.8, 15.9).

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 is_mov = u64{1} << 63, cr0_mp = 2, cr0_ts = 8, cr0_em = 4, cr4_de = 8;
constexpr unsigned invalid_opcode = 6;

/// MOV between a control or debug register and a general register: opcode 0F and this, REX before it where needed.
struct Move {
  char bytes[5];
  unsigned size;
};

Move move(u8 opcode, unsigned number, unsigned general) {
  const unsigned rex = 0x40 | (number >= 8 ? 4 : 0) | (general >= 8 ? 1 : 0);
  const u8 modrm = static_cast<u8>(0xc0 | (number & 7) << 3 | (general & 7));
  if (rex == 0x40) return {{0x0f, static_cast<char>(opcode), static_cast<char>(modrm)}, 3};
  return {{static_cast<char>(rex), 0x0f, static_cast<char>(opcode), static_cast<char>(modrm)}, 4};
}

bool exists(unsigned control) { return control == 0 || (control >= 2 && control <= 4) || control == 8; }

void set_operand(unsigned number, unsigned general) {
  const u64 value = number == 0 ? vmcb.cr0 : number == 3 ? vmcb.cr3 : number == 4 ? vmcb.cr4 : 0;
  if (general == 0) vmcb.rax = value;
  if (general == 3) registers.rbx = value;
  if (general == 9) registers.r9 = value;
}

void control(u8 opcode, const char* direction, u64 code) {
  for (unsigned number = 0; number < 16; ++number) {
    for (const unsigned general : {0u, 3u, 9u}) {
      const Move m = move(opcode, number, general);
      prepare({m.bytes, m.size});
      (opcode == 0x20 ? vmcb.cr_reads : vmcb.cr_writes) = static_cast<u16>(1u << number);
      vmcb.exceptions = 1u << invalid_opcode;
      set_operand(number, general);
      begin_line(direction, number, ", register ", general, ", ");
      if (exists(number)) {
        check_exit("intercepted", {code + number, m.size, is_mov | general, any, true});
      } else {
        check_exit("undefined before any intercept", {exit_code::exception + invalid_opcode});
      }
    }
    if (!exists(number)) continue;
    const Move m = move(opcode, number, 0);
    prepare({m.bytes, m.size});
    (opcode == 0x20 ? vmcb.cr_reads : vmcb.cr_writes) = static_cast<u16>(~(1u << number));
    set_operand(number, 0);
    begin_line(direction, number, ", ");
    check_finished("all others intercepted");
  }
}

void debug(u8 opcode, const char* direction, u64 code) {
  for (unsigned number = 0; number < 8; ++number) {
    const Move m = move(opcode, number, 9);
    prepare({m.bytes, m.size});
    (opcode == 0x21 ? vmcb.dr_reads : vmcb.dr_writes) = static_cast<u16>(1u << number);
    begin_line(direction, number, ", ");
    if (number == 4 || number == 5) vmcb.cr4 &= ~cr4_de;
    check_exit("intercepted", {code + number, m.size, 9, any, true});
    prepare({m.bytes, m.size});
    (opcode == 0x21 ? vmcb.dr_reads : vmcb.dr_writes) = static_cast<u16>(~(1u << number));
    begin_line(direction, number, ", ");
    check_finished("all others intercepted");
  }
  for (const unsigned number : {8u, 15u}) {
    const Move m = move(opcode, number, 0);
    prepare({m.bytes, m.size});
    (opcode == 0x21 ? vmcb.dr_reads : vmcb.dr_writes) = 0xffff;
    vmcb.exceptions = 1u << invalid_opcode;
    begin_line(direction, number, ", ");
    check_exit("undefined before any intercept", {exit_code::exception + invalid_opcode});
  }
  const Move m = move(opcode, 4, 0);
  prepare({m.bytes, m.size});
  (opcode == 0x21 ? vmcb.dr_reads : vmcb.dr_writes) = 0xffff;
  vmcb.exceptions = 1u << invalid_opcode;
  vmcb.cr4 |= cr4_de;
  begin_line(direction, 4u, ", ");
  check_exit("undefined with de", {exit_code::exception + invalid_opcode});
}

void parts_of_cr0() {
  begin_group("cr0");
  prepare("\x0f\x01\xe0"_code);
  vmcb.cr_reads = 1;
  check_exit("smsw", {exit_code::cr_read, 3, 0, any, true});
  prepare("\x0f\x01\xf0"_code);
  vmcb.cr_writes = 1;
  vmcb.rax = vmcb.cr0;
  check_exit("lmsw", {exit_code::cr_write, 3, 0, any, true});
  prepare("\x0f\x06"_code);
  vmcb.cr_writes = 1;
  check_exit("clts", {exit_code::cr_write, 2, 0, any, true});
}

void selective_write() {
  begin_group("selective cr0 write");
  constexpr Code mov = "\x0f\x22\xc0"_code, lmsw = "\x0f\x01\xf0"_code;
  struct Row {
    const char* name;
    Code code;
    u64 change;
    bool exits;
  };
  constexpr Row rows[] = {
      {"mov of the same", mov, 0, false},
      {"mov of ts", mov, cr0_ts, false},
      {"mov of mp", mov, cr0_mp, false},
      {"mov of em", mov, cr0_em, true},
      {"mov of cd", mov, 1u << 30, true},
      {"mov of wp", mov, 1u << 16, true},
      // It intercepts whatever is written (APM vol. 2, table 15-7).
      {"lmsw of em", lmsw, cr0_em, true},
      {"lmsw of ts", lmsw, cr0_ts, true},
      {"lmsw of the same", lmsw, 0, true},
      {"clts", "\x0f\x06"_code, 0, false},
  };
  for (const Row& row : rows) {
    prepare(row.code);
    intercept(exit_code::cr0_selective);
    vmcb.rax = vmcb.cr0 ^ row.change;
    if (row.exits) {
      check_exit(row.name, {exit_code::cr0_selective, 3});
    } else {
      check_finished(row.name);
    }
  }
  prepare(mov);
  intercept(exit_code::cr0_selective);
  vmcb.cr_writes = 1;
  vmcb.rax = vmcb.cr0 ^ cr0_em;
  check_exit("mov of em under both intercepts", {exit_code::cr_write, 3, is_mov, any, true});
}

struct Table {
  const char* name;
  Code code;
  u64 exit;
};
constexpr Table tables[] = {
    {"sidt", "\x0f\x01\x0f"_code, exit_code::idtr_read},
    {"sgdt", "\x0f\x01\x07"_code, exit_code::gdtr_read},
    {"sldt", "\x0f\x00\xc1"_code, exit_code::ldtr_read},
    {"str", "\x0f\x00\xc9"_code, exit_code::tr_read},
    {"lidt", "\x0f\x01\x1f"_code, exit_code::idtr_write},
    {"lgdt", "\x0f\x01\x17"_code, exit_code::gdtr_write},
    {"lldt", "\x0f\x00\xd0"_code, exit_code::ldtr_write},
    {"ltr", "\x0f\x00\xd8"_code, exit_code::tr_write},
    {"sldt to memory", "\x0f\x00\x07"_code, exit_code::ldtr_read},
    {"str to memory", "\x0f\x00\x0f"_code, exit_code::tr_read},
};

void descriptor_tables() {
  begin_group("descriptor tables");
  for (const Table& table : tables) {
    for (const bool user : {false, true}) {
      prepare(table.code);
      registers.rdi = data_page;
      if (user) at_level_3();
      intercept(table.exit);
      begin_line(user ? "level 3, " : "level 0, ");
      if (user && table.exit >= exit_code::idtr_write) {
        check_exception(table.name, 13, 0, 0);
      } else {
        check_exit(table.name, {table.exit, table.code.size});
      }
    }
  }
  prepare("\x0f\x01\x0f\x0f\x01\x07"_code);
  registers.rdi = data_page;
  for (u64 code = exit_code::ldtr_read; code <= exit_code::tr_write; ++code) intercept(code);
  check_finished("sidt and sgdt, all others intercepted");
}

}  // namespace

void check_register_intercepts() {
  begin_group("control registers");
  control(0x20, "read of cr", exit_code::cr_read);
  control(0x22, "write of cr", exit_code::cr_write);
  begin_group("debug registers");
  debug(0x21, "read of dr", exit_code::dr_read);
  debug(0x23, "write of dr", exit_code::dr_write);
  parts_of_cr0();
  selective_write();
  descriptor_tables();
}

}  // namespace guest
