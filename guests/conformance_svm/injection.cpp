// Event injection (AMD APM vol. 2, 15.20): every type arrives as if it had happened at RIP, and is in EXITINTINFO if another
// event comes in between (15.7.2).

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 nowhere = u64{4} << 30;

u64 exception(unsigned vector) { return event_valid | event_exception | vector; }
u64 exception(unsigned vector, u64 error) { return exception(vector) | event_has_code | error << 32; }
bool pushes_error(unsigned vector) { return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17; }

/// Arrives at the vector's entry with RIP of the guest on the stack, and no event left.
void check_arrival(const char* name, unsigned vector, u64 event, u64 error = any) {
  prepare("\x90"_code);
  vmcb.event = event;
  vmcb.rflags |= 0x200;
  enter();
  const unsigned skip = error == any ? 0 : 1;
  check(name, Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", vmcb.rip, event_entry(vector)},
        Field{"error", skip == 0 ? any : stack_word(0), error}, Field{"pushed rip", stack_word(skip), code_page},
        Field{"pushed cs", stack_word(skip + 1), 8}, Field{"pushed if", stack_word(skip + 2) & 0x200, 0x200},
        Field{"if", vmcb.rflags & 0x200, 0}, Field{"event", vmcb.event & event_valid, 0});
}

void arrivals() {
  begin_group("inject");
  check_arrival("interrupt 20h", 0x20, event_valid | 0x20);
  check_arrival("interrupt ffh", 0xff, event_valid | 0xff);
  check_arrival("interrupt 3", 3, event_valid | 3);
  check_arrival("nmi", 2, event_valid | event_nmi | 2);
  for (unsigned vector = 0; vector < 20; ++vector) {
    // 2 is no exception; 3 and 4 push what nRIP says; 9 and 15 are reserved.
    if (vector == 2 || vector == 3 || vector == 4 || vector == 9 || vector == 15) continue;
    begin_line("exception ", vector);
    if (pushes_error(vector)) {
      check_arrival("", vector, exception(vector, 0x40 + vector), 0x40 + vector);
    } else {
      check_arrival("", vector, exception(vector));
    }
  }
  prepare("\x90"_code);
  vmcb.event = event_valid | 0x30;
  vmcb.rflags &= ~u64{0x200};
  enter();
  check_true("interrupt although if is clear", arrived(0x30));
  prepare("\x90"_code);
  vmcb.event = event_valid | 0x30;
  intercept(exit_code::intr);
  intercept(exit_code::software_interrupt);
  vmcb.exceptions = 0xffff'ffff;
  enter();
  check_true("interrupt under its intercepts", arrived(0x30));
  prepare("\x90"_code);
  vmcb.event = exception(6);
  vmcb.exceptions = 1u << 6;
  enter();
  check_true("exception under its intercept", arrived(6));
  prepare("\x90"_code);
  vmcb.event = exception(14, 2);
  vmcb.cr2 = 0x1234'5678;
  enter();
  check("page fault keeps cr2", Field{"rip", vmcb.rip, event_entry(14)}, Field{"cr2", vmcb.cr2, 0x1234'5678});
}

void software() {
  begin_group("inject with nrip");
  constexpr const char* names[] = {"int 21h", "int3", "into"};
  if (!has(svm_feature::next_rip)) {
    for (const char* name : names) absent(name);
    return absent("int3 through a gate of level 0");
  }
  const u64 events[] = {event_valid | event_software | 0x21, exception(3), exception(4)};
  constexpr unsigned vectors[] = {0x21, 3, 4};
  for (unsigned i = 0; i < 3; ++i) {
    prepare("\x90\x90\x90"_code);
    vmcb.event = events[i];
    vmcb.next_rip = code_page + 2;
    enter();
    check(names[i], Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", vmcb.rip, event_entry(vectors[i])},
          Field{"pushed rip", stack_word(0), code_page + 2});
  }
  prepare("\x90\x90\x90"_code);
  at_level_3();
  vmcb.event = exception(3);
  vmcb.next_rip = code_page + 2;
  enter();
  check("int3 through a gate of level 0", Field{"rip", vmcb.rip, event_entry(13)},
        Field{"error", stack_word(0), 3 * 8 + 2});
}

struct Row {
  const char* name;
  u64 event;
};

void interrupted() {
  begin_group("inject, interrupted by #PF");
  const Row rows[] = {
      {"interrupt 20h", event_valid | 0x20},
      {"nmi", event_valid | event_nmi | 2},
      {"exception 6", exception(6)},
      {"exception 13", exception(13, 0x1238)},
      {"int 21h", event_valid | event_software | 0x21},
  };
  for (const Row& row : rows) {
    prepare("\x90"_code);
    vmcb.event = row.event;
    vmcb.next_rip = code_page + 1;
    vmcb.idtr = {0, 0, 0xfff, nowhere};
    vmcb.exceptions = 1u << 14;
    enter();
    check(row.name, Field{"exit", vmcb.exit_code, exit_code::exception + 14}, Field{"rip", code_offset(), 0},
          Field{"event", vmcb.exit_interrupt, row.event}, Field{"left", vmcb.event & event_valid, 0});
  }
}

void combined() {
  begin_group("inject, combined");
  prepare("\x90"_code);
  vmcb.event = exception(13, 0);
  vmcb.idtr.limit = 0;
  vmcb.exceptions = 1u << 8;
  enter();
  check("#GP without a gate is #DF", Field{"exit", vmcb.exit_code, exit_code::exception + 8});
  prepare("\x90"_code);
  vmcb.event = event_valid | 0x30;
  vmcb.idtr.limit = 0;
  vmcb.exceptions = 1u << 13;
  enter();
  check("interrupt without a gate is #GP", Field{"exit", vmcb.exit_code, exit_code::exception + 13},
        Field{"error", vmcb.exit_info1, 0x30 * 8 + 3}, Field{"event", vmcb.exit_interrupt, event_valid | 0x30});
  prepare("\x90"_code);
  vmcb.event = exception(8, 0);
  vmcb.idtr.limit = 0;
  enter();
  check("#DF without a gate is shutdown", Field{"exit", vmcb.exit_code, exit_code::shutdown});
  prepare("\x90"_code);
  enter();
  check("nothing to interrupt", Field{"event", vmcb.exit_interrupt & event_valid, 0});
  prepare(Mode::Protected, "\x90"_code);
  vmcb.event = exception(13, 0x58);
  enter();
  check("protected mode", Field{"rip", vmcb.rip, event_entry(13)}, Field{"error", stack_word(0), 0x58},
        Field{"pushed rip", stack_word(1), code_page});
  prepare(Mode::Real, "\x90"_code);
  vmcb.event = event_valid | 0x30;
  auto* const vectors = reinterpret_cast<volatile u16*>(data_page);
  vectors[2 * 0x30] = 0x10;
  vectors[2 * 0x30 + 1] = static_cast<u16>(low_page >> 4);
  auto* const handler = reinterpret_cast<volatile u8*>(low_page + 0x10);
  handler[0] = 0x0f;
  handler[1] = 0x01;
  handler[2] = 0xd9;
  vmcb.idtr = {0, 0, 0x3ff, data_page};
  enter();
  check("real mode", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", code_offset(), 0x10},
        Field{"sp", vmcb.rsp & 0xffff, low_page - 6});
}

}  // namespace

void check_injection() {
  arrivals();
  software();
  interrupted();
  combined();
}

}  // namespace guest
