// Instructions that leave a guest always, or if a control says so: exit reason, length, qualification, instruction
// information (Intel SDM vol. 3, 25.1, 27.2).

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

constexpr unsigned invalid_opcode = 6, general_protection = 13;

struct Row {
  const char* name;
  Code code;
  u64 reason;
  Word word = Word::Pin;
  u32 control = 0;  ///< 0: always
  u64 qualification = 0, information = any, mask = ~u64{0};
  bool finishes = true;  ///< without the control it leads to the next instruction
  bool user = true;      ///< level 3 may execute it
};

constexpr u64 table_information(u64 identity) { return at_rdi | identity << 28; }
constexpr u64 register_information(u64 reg, u64 identity) { return reg << 3 | 1u << 10 | identity << 28; }
constexpr u64 table_mask = 0x37c3'8780, register_mask = 0x3000'0478;
constexpr Word primary = Word::Primary, second = Word::Secondary;

constexpr Row rows[] = {
    {"cpuid", "\x0f\xa2"_code, reason::cpuid},
    {"cpuid with a prefix", "\x66\x0f\xa2"_code, reason::cpuid},
    {"invd", "\x0f\x08"_code, reason::invd, Word::Pin, 0, 0, any, 0, true, false},
    {"vmcall", "\x0f\x01\xc1"_code, reason::vmcall},
    {"hlt", "\xf4"_code, reason::hlt, primary, primary_control::hlt, 0, any, 0, false, false},
    {"invlpg", "\x0f\x01\x3f"_code, reason::invlpg, primary, primary_control::invlpg, data_page, any, 0, true, false},
    {"invlpg with a displacement", "\x0f\x01\x7f\x10"_code, reason::invlpg, primary, primary_control::invlpg,
     data_page + 16, any, 0, true, false},
    {"mwait", "\x0f\x01\xc9"_code, reason::mwait, primary, primary_control::mwait, 0, any, 0, false, false},
    {"monitor", "\x0f\x01\xc8"_code, reason::monitor, primary, primary_control::monitor, 0, any, 0, true, false},
    {"rdpmc", "\x0f\x33"_code, reason::rdpmc, primary, primary_control::rdpmc, 0, any, 0, false, false},
    {"rdtsc", "\x0f\x31"_code, reason::rdtsc, primary, primary_control::rdtsc},
    {"pause", "\xf3\x90"_code, reason::pause, primary, primary_control::pause},
    {"sgdt", "\x0f\x01\x07"_code, reason::gdtr_idtr, second, secondary_control::tables, 0, table_information(0),
     table_mask},
    {"sidt", "\x0f\x01\x0f"_code, reason::gdtr_idtr, second, secondary_control::tables, 0, table_information(1),
     table_mask},
    {"lgdt", "\x0f\x01\x17"_code, reason::gdtr_idtr, second, secondary_control::tables, 0, table_information(2),
     table_mask, false, false},
    {"lidt", "\x0f\x01\x1f"_code, reason::gdtr_idtr, second, secondary_control::tables, 0, table_information(3),
     table_mask, false, false},
    {"sgdt with a displacement", "\x0f\x01\x47\x08"_code, reason::gdtr_idtr, second, secondary_control::tables, 8,
     table_information(0), table_mask},
    {"sldt", "\x0f\x00\xc1"_code, reason::ldtr_tr, second, secondary_control::tables, 0, register_information(1, 0),
     register_mask},
    {"str", "\x0f\x00\xca"_code, reason::ldtr_tr, second, secondary_control::tables, 0, register_information(2, 1),
     register_mask},
    {"lldt", "\x0f\x00\xd0"_code, reason::ldtr_tr, second, secondary_control::tables, 0, register_information(0, 2),
     register_mask, true, false},
    {"ltr", "\x0f\x00\xd8"_code, reason::ldtr_tr, second, secondary_control::tables, 0, register_information(0, 3),
     register_mask, false, false},
    {"str to memory", "\x0f\x00\x0f"_code, reason::ldtr_tr, second, secondary_control::tables, 0, table_information(1),
     table_mask},
    {"wbinvd", "\x0f\x09"_code, reason::wbinvd, second, secondary_control::wbinvd, 0, any, 0, true, false},
    {"rdrand ebx", "\x0f\xc7\xf3"_code, reason::rdrand, second, secondary_control::rdrand, 0, 3u << 3 | 1u << 11,
     0x1878},
    {"rdrand r9", "\x49\x0f\xc7\xf1"_code, reason::rdrand, second, secondary_control::rdrand, 0, 9u << 3 | 2u << 11,
     0x1878},
    {"rdrand bx", "\x66\x0f\xc7\xf3"_code, reason::rdrand, second, secondary_control::rdrand, 0, 3u << 3, 0x1878},
    {"rdseed ebx", "\x0f\xc7\xfb"_code, reason::rdseed, second, secondary_control::rdseed, 0, 3u << 3 | 1u << 11,
     0x1878},
};

void prepare_row(const Row& row) {
  prepare(row.code);
  registers.rdi = registers.rax = data_page;
  *reinterpret_cast<volatile u64*>(data_page) = 0;
  if (row.reason == reason::ldtr_tr) registers.rax = 0;
}

bool exists(const Row& row) {
  if (row.control == 0) return true;
  return row.word == Word::Secondary ? has_secondary(row.control) : has(row.word, row.control);
}

void check_row(const Row& row) {
  if (!exists(row)) return absent(row.name);
  prepare_row(row);
  if (row.control != 0) enable(row.word, row.control);
  check_exit(row.name, {row.reason, row.code.size, row.qualification, row.information, 0, row.mask});
}

void check_level_3(const Row& row) {
  if (!exists(row)) return absent(row.name);
  prepare_row(row);
  if (row.control != 0) enable(row.word, row.control);
  at_level_3();
  if (row.user) return check_exit(row.name, {row.reason, row.code.size});
  const bool undefined = row.reason == reason::monitor || row.reason == reason::mwait;
  put(vmcs::exceptions, 1u << (undefined ? invalid_opcode : general_protection));
  enter();
  check(row.name, Field{"reason", exit_reason(), reason::exception},
        Field{"event", get(vmcs::exit_event) & 0xff, undefined ? invalid_opcode : general_protection});
}

void check_others(const Row& row) {
  if (row.control == 0 || !row.finishes) return;
  if (!exists(row)) return absent(row.name);
  prepare_row(row);
  for (const Row& other : rows) {
    if (other.control != 0 && exists(other) && (other.word != row.word || other.control != row.control)) {
      enable(other.word, other.control);
    }
  }
  check_finished(row.name);
}

/// Instructions that are undefined unless a control lets them be (25.3).
void enabled_instructions() {
  begin_group("instruction that a control enables");
  struct Enabled {
    const char* name;
    Code code;
    u32 control;
    bool exists;
    u64 reason;
    u32 exiting;
    u64 information, mask;
  };
  const bool has_rdtscp = (cpuid(0x8000'0001).edx >> 27 & 1) != 0, has_invpcid = (cpuid(7).ebx >> 10 & 1) != 0;
  const Enabled all[] = {
      {"rdtscp", "\x0f\x01\xf9"_code, secondary_control::rdtscp, has_rdtscp, reason::rdtscp, primary_control::rdtsc,
       any, 0},
      {"invpcid", "\x66\x0f\x38\x82\x07"_code, secondary_control::invpcid, has_invpcid, reason::invpcid,
       primary_control::invlpg, at_rdi, memory_bits},
  };
  for (const Enabled& each : all) {
    if (!each.exists || !has_secondary(each.control)) {
      begin_line(each.name, ", "), absent("undefined without it");
      begin_line(each.name, ", "), absent("with it");
      begin_line(each.name, ", "), absent("exit");
      continue;
    }
    for (unsigned i = 0; i < 3; ++i) {
      prepare(each.code);
      registers.rdi = data_page;
      *reinterpret_cast<volatile u64*>(data_page) = 0;
      *reinterpret_cast<volatile u64*>(data_page + 8) = 0;
      put(vmcs::exceptions, 1u << invalid_opcode);
      if (i != 0) enable(Word::Secondary, each.control);
      if (i != 1) enable(Word::Primary, each.exiting);
      begin_line(each.name, ", ");
      if (i == 0) check_exit("undefined without it", {reason::exception});
      if (i == 1) check_finished("with it");
      if (i == 2) check_exit("exit", {each.reason, each.code.size, 0, each.information, 0, each.mask});
    }
  }
}

void priorities() {
  begin_group("faults before exits");
  prepare("\xf0\x0f\xa2"_code);
  put(vmcs::exceptions, 1u << invalid_opcode);
  check_exit("cpuid with lock", {reason::exception});
  prepare("\x0f\x31"_code);
  at_level_3();
  set(vmcs::guest_cr4, 4);
  enable(Word::Primary, primary_control::rdtsc);
  put(vmcs::exceptions, 1u << general_protection);
  check_exit("rdtsc, level 3 with tsd", {reason::exception});
  prepare("\x0f\x37"_code);
  put(vmcs::exceptions, 1u << invalid_opcode);
  check_exit("getsec without smxe", {reason::exception});
  prepare("\x0f\xaa"_code);
  put(vmcs::exceptions, 1u << invalid_opcode);
  check_exit("rsm outside smm", {reason::exception});
  prepare("\x0f\x01\xd1"_code);
  reset(vmcs::guest_cr4, 1u << 18);
  put(vmcs::exceptions, 1u << invalid_opcode);
  check_exit("xsetbv without osxsave", {reason::exception});
  if ((cpuid(1).ecx >> 26 & 1) == 0) return absent("xsetbv");
  prepare("\x0f\x01\xd1"_code);
  set(vmcs::guest_cr4, 1u << 18);
  registers.rax = 1;
  check_exit("xsetbv", {reason::xsetbv, 3, 0});
}

/// Instructions that have exits on processors that have them; here they are undefined, and their controls may not be set
/// (the reserved bits of capabilities.cpp).
void absent_instructions() {
  begin_group("absent, undefined");
  struct Absent {
    const char* name;
    Code code;
    bool exists;
  };
  const u32 leaf_7_ebx = cpuid(7).ebx, leaf_7_ecx = cpuid(7).ecx;
  const Absent all[] = {{"encls", "\x0f\x01\xcf"_code, (leaf_7_ebx >> 2 & 1) != 0},
                        {"enclv", "\x0f\x01\xc0"_code, (leaf_7_ebx >> 2 & 1) != 0},
                        {"xsaves", "\x0f\xc7\x2f"_code, (cpuid(13, 1).eax >> 3 & 1) != 0},
                        {"xrstors", "\x0f\xc7\x1f"_code, (cpuid(13, 1).eax >> 3 & 1) != 0},
                        {"pconfig", "\x0f\x01\xc5"_code, (cpuid(7).edx >> 18 & 1) != 0},
                        {"tpause", "\x66\x0f\xae\xf0"_code, (leaf_7_ecx >> 5 & 1) != 0},
                        {"umwait", "\xf2\x0f\xae\xf0"_code, (leaf_7_ecx >> 5 & 1) != 0},
                        {"enqcmd", "\xf2\x0f\x38\xf8\x07"_code, (leaf_7_ecx >> 29 & 1) != 0},
                        {"enqcmds", "\xf3\x0f\x38\xf8\x07"_code, (leaf_7_ecx >> 29 & 1) != 0}};
  for (const Absent& each : all) {
    if (each.exists) {
      absent(each.name);
      continue;
    }
    prepare(each.code);
    registers.rdi = data_page;
    set(vmcs::guest_cr4, read_cr4() & 1u << 18);
    put(vmcs::exceptions, 1u << invalid_opcode);
    check_exit(each.name, {reason::exception});
  }
}

void armed_mwait() {
  begin_group("mwait");
  prepare("\x0f\x01\xc8\x31\xc0\x0f\x01\xc9"_code);
  registers.rax = data_page;
  enable(Word::Primary, primary_control::mwait);
  check_exit("behind monitor", {reason::mwait, 3, 1, any, 5});
}

void other_modes() {
  begin_group("exit in other modes");
  struct ModeRow {
    const char* name;
    Mode mode;
  };
  constexpr ModeRow modes[] = {{"compatibility", Mode::Compatibility},
                               {"pae", Mode::Pae},
                               {"virtual-8086", Mode::Virtual8086},
                               {"protected", Mode::Protected},
                               {"real", Mode::Real}};
  for (const ModeRow& mode : modes) {
    for (const Row& row : {rows[0], rows[4], rows[10]}) {
      begin_line(mode.name, ", ");
      if (!prepare(mode.mode, row.code)) {
        absent(row.name);
        continue;
      }
      if (row.control != 0) enable(row.word, row.control);
      if (mode.mode == Mode::Virtual8086 && !row.user) {
        put(vmcs::exceptions, 1u << general_protection);
        check_exit(row.name, {reason::exception});
      } else {
        check_exit(row.name, {row.reason, row.code.size});
      }
    }
  }
}

}  // namespace

void check_instruction_exits() {
  begin_group("exit");
  for (const Row& row : rows) check_row(row);
  begin_group("exit at level 3");
  for (const Row& row : rows) check_level_3(row);
  begin_group("all controls but its own");
  for (const Row& row : rows) check_others(row);
  enabled_instructions();
  priorities();
  absent_instructions();
  armed_mwait();
  other_modes();
}

}  // namespace guest
