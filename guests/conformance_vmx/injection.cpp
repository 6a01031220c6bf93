// Event injection (Intel SDM vol. 3, 26.5): every type arrives as if it had happened at RIP, those of instructions behind them.

#include "guests/conformance_vmx/machine.h"

namespace guest {

namespace {

struct Row {
  const char* name;
  unsigned vector;
  u64 type;
  u64 error = any;
  u64 length = 0;
};

bool pushes_error(unsigned vector) { return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17; }

constexpr Row rows[] = {
    {"interrupt 20h", 0x20, 0},
    {"interrupt ffh", 0xff, 0},
    {"interrupt 3", 3, 0},
    {"nmi", 2, event_nmi},
    {"int 21h", 0x21, event_software, any, 2},
    {"int3", 3, event_software_exception, any, 1},
    {"into", 4, event_software_exception, any, 1},
    {"icebp", 1, event_privileged, any, 1},
};

void prepare_event(unsigned vector, u64 type, u64 error, u64 length) {
  prepare("\x90\x90\x90"_code);
  set(vmcs::guest_rflags, 0x200);
  put(vmcs::entry_event, event_valid | type | vector | (error == any ? 0 : event_has_code));
  put(vmcs::entry_error, error == any ? 0 : error);
  put(vmcs::entry_length, length);
}

void check_arrival(const char* name, unsigned vector, u64 type, u64 error, u64 length) {
  prepare_event(vector, type, error, length);
  enter();
  const unsigned skip = error == any ? 0 : 1;
  check(name, Field{"reason", exit_reason(), reason::vmcall}, Field{"rip", get(vmcs::guest_rip), event_entry(vector)},
        Field{"error", skip == 0 ? any : stack_word(0), error},
        Field{"pushed rip", stack_word(skip), code_page + length}, Field{"pushed cs", stack_word(skip + 1), 8},
        Field{"pushed if", stack_word(skip + 2) & 0x200, 0x200}, Field{"if", get(vmcs::guest_rflags) & 0x200, 0},
        Field{"valid", get(vmcs::entry_event) >> 31, 0});
}

void arrivals() {
  begin_group("inject");
  for (const Row& row : rows) check_arrival(row.name, row.vector, row.type, row.error, row.length);
  for (unsigned vector = 0; vector < 20; ++vector) {
    if (vector == 2 || vector == 3 || vector == 4 || vector == 9 || vector == 15) continue;
    begin_line("exception ", vector);
    check_arrival("", vector, event_exception, pushes_error(vector) ? vector == 8 ? 0 : 0x40 + vector : any, 0);
  }
}

void others() {
  begin_group("inject, also");
  prepare_event(6, event_exception, any, 0);
  put(vmcs::exceptions, 1u << 6);
  enter();
  check_true("an exception whose bit is set", arrived(6));
  prepare_event(0x30, 0, any, 0);
  enable(Word::Pin, pin_control::external);
  enter();
  check_true("an interrupt under external-interrupt exiting", arrived(0x30));
  prepare_event(3, event_software_exception, any, 1);
  at_level_3();
  enter();
  check("int3 through a gate of level 0", Field{"rip", get(vmcs::guest_rip), event_entry(13)},
        Field{"error", stack_word(0), 3 * 8 + 2});
  prepare_event(1, event_privileged, any, 1);
  at_level_3();
  enter();
  check_true("icebp through a gate of level 0", arrived(1));
  prepare_event(14, event_exception, 2, 0);
  asm volatile("mov %0, %%cr2" : : "r"(u64{0x1234}));
  enter();
  check("page fault keeps cr2", Field{"rip", get(vmcs::guest_rip), event_entry(14)}, Field{"cr2", read_cr2(), 0x1234});
  prepare_event(0x30, 0, any, 0);
  put(vmcs::idtr_limit, 0);
  put(vmcs::exceptions, 1u << 13);
  enter();
  check("interrupt without a gate is #GP", Field{"event", get(vmcs::exit_event) & 0xff, 13},
        Field{"error", get(vmcs::exit_error), 0x30 * 8 + 3},
        Field{"vectoring", get(vmcs::vectoring), event_valid | 0x30});
  prepare_event(13, event_exception, 0, 0);
  put(vmcs::idtr_limit, 0);
  put(vmcs::exceptions, 1u << 8);
  enter();
  check("#GP without a gate is #DF", Field{"event", get(vmcs::exit_event) & 0xff, 8});
  prepare_event(8, event_exception, 0, 0);
  put(vmcs::idtr_limit, 0);
  enter();
  check("#DF without a gate is a triple fault", Field{"reason", exit_reason(), reason::triple_fault});
}

void real_mode() {
  begin_group("inject in real mode");
  if (!prepare(Mode::Real, "\x90"_code)) return absent("interrupt 30h");
  set(vmcs::guest_rflags, 0x200);
  put(vmcs::entry_event, event_valid | 0x30);
  auto* const entry = reinterpret_cast<volatile u16*>(data_page);
  entry[2 * 0x30] = 0x10;
  entry[2 * 0x30 + 1] = low_page >> 4;
  put_code(low_page + 0x10, "\x0f\x01\xc1"_code, ""_code);
  put(vmcs::idtr_base, data_page);
  put(vmcs::idtr_limit, 0x3ff);
  enter();
  check("interrupt 30h", Field{"reason", exit_reason(), reason::vmcall}, Field{"rip", get(vmcs::guest_rip), 0x10},
        Field{"sp", get(vmcs::guest_rsp) & 0xffff, low_page - 6});
}

/// Activity states (26.6.2): what wakes a guest that is entered halted, in shutdown, or waiting.
void activity_states() {
  begin_group("activity");
  const u64 misc = read_msr(msr_vmx_misc);
  if ((misc >> 6 & 1) != 0) {
    prepare_event(0x30, 0, any, 0);
    put(vmcs::activity, 1);
    enter();
    check_true("halted, an interrupt injected", arrived(0x30));
    check("then active", Field{"activity", get(vmcs::activity), 0});
    prepare_event(2, event_nmi, any, 0);
    put(vmcs::activity, 1);
    enter();
    check_true("halted, an nmi injected", arrived(2));
    if (is_bochs()) {
      for (const char* name : {"halted, an external interrupt", "hlt of the guest", "shutdown, an nmi injected"}) {
        leave_out(name, "at which Bochs hangs");
      }
      return;
    }
    prepare("\x90"_code);
    put(vmcs::activity, 1);
    watch();
    enter();
    check("halted, an external interrupt", Field{"reason", exit_reason(), reason::external},
          Field{"activity", get(vmcs::activity), 1}, Field{"rip", code_offset(), 0});
    prepare("\xf4"_code);
    watch();
    enter();
    check("hlt of the guest", Field{"reason", exit_reason(), reason::external},
          Field{"activity", get(vmcs::activity), 1}, Field{"rip", code_offset(), 1});
  } else {
    for (const char* name : {"halted, an interrupt injected", "then active", "halted, an nmi injected",
                             "halted, an external interrupt", "hlt of the guest"}) {
      absent(name);
    }
  }
  if ((misc >> 7 & 1) == 0) return absent("shutdown, an nmi injected");
  prepare_event(2, event_nmi, any, 0);
  put(vmcs::activity, 2);
  enter();
  check_true("shutdown, an nmi injected", arrived(2));
}

}  // namespace

void check_injection() {
  arrivals();
  others();
  real_mode();
  activity_states();
}

}  // namespace guest
