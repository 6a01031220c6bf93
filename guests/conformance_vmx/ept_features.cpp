// What EPT is the base of: the page-modification log, EPTP switching by VMFUNC, #VE (Intel SDM vol. 3, 28.2.6, 25.5.5, 25.5.6).

#include "guests/conformance_vmx/ept.h"

namespace guest {

namespace {

constexpr u64 open = ept_all | ept_write_back;
constexpr unsigned virtualization_exception = 20, invalid_opcode = 6;
constexpr Code read_code = "\x8b\x07"_code, write_code = "\x89\x07"_code, vmfunc_code = "\x0f\x01\xd4"_code;

alignas(4096) u64 log[512], list[512];

struct VeInformation {
  u32 reason, busy;
  u64 qualification, linear, physical;
  u16 index;
};
alignas(4096) VeInformation ve_area;

void with_log(Code code, u64 index) {
  prepare_ept(Mode::Long, code);
  set(vmcs::eptp, 0x40);
  enable(Word::Secondary, secondary_control::pml);
  put(vmcs::pml_address, reinterpret_cast<u64>(log));
  put(vmcs::pml_index, index);
  __builtin_memset(log, 0, sizeof log);
  // The other pages that the guest writes are dirty already.
  for (u64& entry : ept_tables.level2) entry |= ept_accessed | ept_dirty;
  ept_tables.window1[0] = frame(0) | open;
  registers.rdi = window + 0x10;
}

void modification_log() {
  begin_group("page-modification log");
  constexpr const char* names[] = {"write", "second write", "read", "full", "full, already dirty"};
  if (!has_secondary(secondary_control::pml)) {
    for (const char* name : names) absent(name);
    return;
  }
  with_log(write_code, 511);
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall}, Field{"index", get(vmcs::pml_index), 510},
        Field{"entry", log[511], window});
  with_log("\x89\x07\x89\x07"_code, 511);
  enter();
  check(names[1], Field{"index", get(vmcs::pml_index), 510});
  with_log(read_code, 511);
  enter();
  check(names[2], Field{"reason", exit_reason(), reason::vmcall}, Field{"index", get(vmcs::pml_index), 511});
  with_log(write_code, 0xffff);
  check_exit(names[3], {reason::pml_full});
  with_log(write_code, 0xffff);
  ept_tables.window1[0] |= ept_accessed | ept_dirty;
  check_finished(names[4]);
}

void with_list(Code code) {
  prepare_ept(Mode::Long, code);
  fill(other_ept_tables);
  enable(Word::Secondary, secondary_control::vmfunc);
  put(vmcs::vmfunc_controls, 1);
  put(vmcs::eptp_list, reinterpret_cast<u64>(list));
  list[0] = get(vmcs::eptp);
  list[1] = ept_pointer(other_ept_tables);
  list[2] = list[1] | 7;
  ept_tables.window1[0] = frame(1) | open;
  other_ept_tables.window1[0] = frame(2) | open;
  registers.rdi = window + 8;
}

void switching() {
  begin_group("vmfunc");
  constexpr const char* names[] = {"switches the tables", "a bad pointer",       "an index beyond the list",
                                   "another function",    "without the control", "a function that is off"};
  if (!has_secondary(secondary_control::vmfunc) || (read_msr(msr_vmfunc) & 1) == 0) {
    for (const char* name : names) absent(name);
    return;
  }
  // mov bl, [rdi]; vmfunc; mov bh, [rdi]
  with_list("\x8a\x1f\x0f\x01\xd4\x8a\x3f"_code);
  registers.rcx = 1;
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall}, Field{"bl and bh", registers.rbx, 0x0201},
        Field{"pointer", get(vmcs::eptp), list[1]});
  with_list(vmfunc_code);
  registers.rcx = 2;
  check_exit(names[1], {reason::vmfunc, 3});
  with_list(vmfunc_code);
  registers.rcx = 512;
  check_exit(names[2], {reason::vmfunc, 3});
  with_list(vmfunc_code);
  registers.rax = 1;
  check_exit(names[3], {reason::vmfunc, 3});
  prepare(vmfunc_code);
  put(vmcs::exceptions, 1u << invalid_opcode);
  check_exit(names[4], {reason::exception});
  with_list(vmfunc_code);
  put(vmcs::vmfunc_controls, 0);
  check_exit(names[5], {reason::vmfunc, 3});
}

void with_ve(Code code) {
  prepare_ept(Mode::Long, code);
  enable(Word::Secondary, secondary_control::ve);
  put(vmcs::ve_information, reinterpret_cast<u64>(&ve_area));
  put(vmcs::eptp_index, 5);
  ve_area = {};
  registers.rdi = window + 0x18;
}

void virtualization_exceptions() {
  begin_group("#VE");
  constexpr const char* names[] = {"of an absent page",        "information",
                                   "while the area is busy",   "an entry that suppresses it",
                                   "a misconfiguration exits", "under its own bit"};
  if (!has_secondary(secondary_control::ve)) {
    for (const char* name : names) absent(name);
    return;
  }
  with_ve(write_code);
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall},
        Field{"rip", get(vmcs::guest_rip), event_entry(virtualization_exception)},
        Field{"pushed rip", stack_word(0), code_page});
  check(names[1], Field{"reason", ve_area.reason, reason::ept_violation}, Field{"busy", ve_area.busy, 0xffff'ffff},
        Field{"qualification", ve_area.qualification & 0x1bf, 0x182}, Field{"linear", ve_area.linear, window + 0x18},
        Field{"physical", ve_area.physical, window + 0x18}, Field{"index", ve_area.index, 5});
  with_ve(read_code);
  ve_area.busy = 1;
  check_exit(names[2], {reason::ept_violation});
  with_ve(read_code);
  ept_tables.window1[0] = ept_no_ve;
  check_exit(names[3], {reason::ept_violation});
  with_ve(read_code);
  ept_tables.window1[0] = frame(0) | ept_write;
  check_exit(names[4], {reason::ept_misconfiguration});
  with_ve(read_code);
  put(vmcs::exceptions, 1u << virtualization_exception);
  enter();
  check(names[5], Field{"reason", exit_reason(), reason::exception},
        Field{"event", get(vmcs::exit_event), event_valid | event_exception | virtualization_exception});
}

}  // namespace

void check_ept_features() {
  modification_log();
  switching();
  virtualization_exceptions();
}

}  // namespace guest
