// Intercepts of instructions (AMD APM vol. 2, 15.9): exit code, nRIP, and what decode assists say.

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr unsigned invalid_opcode = 6, general_protection = 13;

/// What must be there for an instruction to exist.
enum class Needs { Nothing, Rdtscp, Monitor, Xsave, Rdpru, Invpcid };

struct Row {
  const char* name;
  Code code;
  u64 exit;
  u64 info1 = any;
  Needs needs = Needs::Nothing;
  bool finishes = true;  ///< without the intercept it leads to the next instruction
  bool user = true;      ///< level 3 may execute it
};

constexpr Row rows[] = {
    {"rdtsc", "\x0f\x31"_code, exit_code::rdtsc},
    {"pushf", "\x9c"_code, exit_code::pushf},
    {"popf", "\x9d"_code, exit_code::popf},
    {"cpuid", "\x0f\xa2"_code, exit_code::cpuid},
    {"cpuid with a prefix", "\x66\x0f\xa2"_code, exit_code::cpuid},
    {"iret", "\x48\xcf"_code, exit_code::iret, any, Needs::Nothing, false},
    {"int 21h", "\xcd\x21"_code, exit_code::software_interrupt, 0x21, Needs::Nothing, false, false},
    {"int ffh", "\xcd\xff"_code, exit_code::software_interrupt, 0xff, Needs::Nothing, false, false},
    {"int 3h", "\xcd\x03"_code, exit_code::software_interrupt, 3, Needs::Nothing, false, false},
    {"invd", "\x0f\x08"_code, exit_code::invd, any, Needs::Nothing, false, false},
    {"pause", "\xf3\x90"_code, exit_code::pause},
    {"hlt", "\xf4"_code, exit_code::hlt, any, Needs::Nothing, false, false},
    {"invlpg", "\x0f\x01\x3f"_code, exit_code::invlpg, data_page, Needs::Nothing, true, false},
    {"invlpg with a displacement", "\x0f\x01\x7f\x10"_code, exit_code::invlpg, data_page + 16, Needs::Nothing, true,
     false},
    {"invlpga", "\x0f\x01\xdf"_code, exit_code::invlpga, any, Needs::Nothing, true, false},
    {"vmrun", "\x0f\x01\xd8"_code, exit_code::vmrun, any, Needs::Nothing, false, false},
    {"vmmcall", "\x0f\x01\xd9"_code, exit_code::vmmcall, any, Needs::Nothing, false},
    {"vmload", "\x0f\x01\xda"_code, exit_code::vmload, any, Needs::Nothing, false, false},
    {"vmsave", "\x0f\x01\xdb"_code, exit_code::vmsave, any, Needs::Nothing, false, false},
    {"stgi", "\x0f\x01\xdc"_code, exit_code::stgi, any, Needs::Nothing, true, false},
    {"clgi", "\x0f\x01\xdd"_code, exit_code::clgi, any, Needs::Nothing, false, false},
    {"rdtscp", "\x0f\x01\xf9"_code, exit_code::rdtscp, any, Needs::Rdtscp},
    {"icebp", "\xf1"_code, exit_code::icebp, any, Needs::Nothing, false},
    {"wbinvd", "\x0f\x09"_code, exit_code::wbinvd, any, Needs::Nothing, true, false},
    {"monitor", "\x0f\x01\xc8"_code, exit_code::monitor, any, Needs::Monitor, true, false},
    {"mwait", "\x0f\x01\xc9"_code, exit_code::mwait, any, Needs::Monitor, false, false},
    {"xsetbv", "\x0f\x01\xd1"_code, exit_code::xsetbv, any, Needs::Xsave, true, false},
    {"rdpru", "\x0f\x01\xfd"_code, exit_code::rdpru, any, Needs::Rdpru},
    {"invpcid", "\x66\x0f\x38\x82\x07"_code, exit_code::invpcid, any, Needs::Invpcid, true, false},
};

bool is_there(Needs needs) {
  switch (needs) {
    case Needs::Nothing: return true;
    case Needs::Rdtscp: return (cpuid(0x8000'0001).edx >> 27 & 1) != 0;
    case Needs::Monitor: return (cpuid(1).ecx >> 3 & 1) != 0;
    case Needs::Xsave: return (cpuid(1).ecx >> 26 & 1) != 0;
    case Needs::Rdpru: return (cpuid(0x8000'0008).ebx >> 4 & 1) != 0;
    // The intercept came with AMD's own INVPCID (APM vol. 2, 15.9): Zen 3, whose CPUID has it in leaf 7.
    case Needs::Invpcid: return (cpuid(7).ebx >> 10 & 1) != 0;
  }
  return true;
}

void prepare_row(const Row& row) {
  prepare(row.code);
  registers.rdi = data_page;
  // A type of INVPCID's that exists, a value that XCR0 may have, an address.
  vmcb.rax = row.exit == exit_code::xsetbv ? 1 : row.exit == exit_code::invpcid ? 2 : data_page;
  for (u64 address = data_page; address < data_page + 16; address += 8) *reinterpret_cast<volatile u64*>(address) = 0;
  if (row.needs == Needs::Xsave && is_there(row.needs)) vmcb.cr4 |= 1u << 18;
  // POPF and IRET find something to take.
  u64* const stack = reinterpret_cast<u64*>(stack_top);
  stack[0] = 2;
}

void check_row(const Row& row) {
  if (!is_there(row.needs)) {
    prepare_row(row);
    intercept(row.exit);
    vmcb.exceptions = 1u << invalid_opcode;
    if (enter() == exit_code::exception + invalid_opcode) return absent(row.name);
    return check(row.name, Field{"exit without the feature", vmcb.exit_code, exit_code::exception + invalid_opcode});
  }
  prepare_row(row);
  intercept(row.exit);
  check_exit(row.name, {row.exit, row.code.size, row.info1, any, true});
}

void check_levels(const Row& row) {
  if (!is_there(row.needs)) return absent(row.name);
  prepare_row(row);
  at_level_3();
  intercept(row.exit);
  if (row.user) return check_exit(row.name, {row.exit, row.code.size, row.info1, any, true});
  vmcb.exceptions = 1u << general_protection;
  if (row.exit == exit_code::software_interrupt) {
    // The gate's DPL is looked at behind the intercept (APM vol. 2, 15.9).
    return check_exit(row.name, {row.exit, row.code.size, row.info1, any, true});
  }
  // MONITOR and MWAIT of level 3 are undefined rather than refused (vol. 3, MONITOR).
  const bool undefined = row.needs == Needs::Monitor;
  if (undefined) vmcb.exceptions = 1u << invalid_opcode;
  check_exit(row.name, {exit_code::exception + (undefined ? invalid_opcode : general_protection)});
}

void without_its_intercept(const Row& row) {
  if (!row.finishes) return;
  if (!is_there(row.needs)) return absent(row.name);
  prepare_row(row);
  constexpr u64 all = ~u64{0x1f};  // all but physical events
  vmcb.instructions |= all & ~(u64{1} << (row.exit - exit_code::intr)) & 0x7fff'ffff'ffff;
  if (row.exit >= 0xa0) vmcb.more_instructions = 0;
  check_finished(row.name);
}

void other_modes() {
  begin_group("intercept in other modes");
  struct ModeRow {
    const char* name;
    Mode mode;
  };
  constexpr ModeRow modes[] = {{"compatibility", Mode::Compatibility},
                               {"protected", Mode::Protected},
                               {"16-bit", Mode::Protected16},
                               {"pae", Mode::Pae},
                               {"real", Mode::Real},
                               {"paged real", Mode::PagedReal}};
  constexpr Row tried[] = {
      {"cpuid", "\x0f\xa2"_code, exit_code::cpuid}, {"hlt", "\xf4"_code, exit_code::hlt},
      {"rdtsc", "\x0f\x31"_code, exit_code::rdtsc}, {"int 21h", "\xcd\x21"_code, exit_code::software_interrupt},
      {"pushf", "\x9c"_code, exit_code::pushf},     {"iret", "\xcf"_code, exit_code::iret},
      {"icebp", "\xf1"_code, exit_code::icebp},     {"wbinvd", "\x0f\x09"_code, exit_code::wbinvd}};
  for (const ModeRow& mode : modes) {
    for (const Row& row : tried) {
      prepare(mode.mode, row.code);
      intercept(row.exit);
      begin_line(mode.name, ", ");
      check_exit(row.name, {row.exit, row.code.size});
    }
  }
}

void armed_mwait() {
  begin_group("mwait when armed");
  if (!is_there(Needs::Monitor)) return absent("without monitor"), absent("behind monitor");
  prepare("\x0f\x01\xc9"_code);
  intercept(exit_code::mwait_armed);
  watch();
  check_finished("without monitor");
  prepare("\x0f\x01\xc8\x31\xc0\x0f\x01\xc9"_code);
  vmcb.rax = data_page;
  intercept(exit_code::mwait_armed);
  watch();
  check_exit("behind monitor", {.code = exit_code::mwait_armed, .length = 3, .at = 5});
}

void outside_its_mode() {
  begin_group("undefined or refused first");
  prepare("\x0f\x33"_code);
  intercept(exit_code::rdpmc);
  check_exit("rdpmc", {exit_code::rdpmc, 2});
  prepare("\x0f\x33"_code);
  intercept(exit_code::rdpmc);
  at_level_3();
  check_exception("rdpmc, level 3", general_protection, 0, 0);
  prepare("\x0f\x31"_code);
  intercept(exit_code::rdtsc);
  at_level_3();
  vmcb.cr4 |= 4;
  check_exception("rdtsc, level 3 with tsd", general_protection, 0, 0);
  prepare("\xf0\x0f\xa2"_code);
  intercept(exit_code::cpuid);
  check_exception("cpuid with lock", invalid_opcode);
  prepare("\x0f\x01\xd1"_code);
  intercept(exit_code::xsetbv);
  vmcb.cr4 &= ~(u64{1} << 18);
  check_exception("xsetbv without osxsave", invalid_opcode);
}

}  // namespace

void check_instruction_intercepts() {
  // First: nothing has armed a monitor yet.
  armed_mwait();
  begin_group("intercept");
  for (const Row& row : rows) check_row(row);
  begin_group("intercept at level 3");
  for (const Row& row : rows) check_levels(row);
  begin_group("all but its own");
  for (const Row& row : rows) without_its_intercept(row);
  other_modes();
  outside_its_mode();
}

}  // namespace guest
