// External interrupts and NMIs at a guest, windows, virtual NMIs, the monitor trap flag, pending debug exceptions (Intel SDM
// vol. 3, "Other causes of VM exits", "Event blocking", 25.5.2, 26.5.2, 26.6).

#include "guests/runtime/interrupts.h"

#include "guests/conformance_vmx/machine.h"
#include "guests/runtime/apic.h"

namespace guest {

namespace {

constexpr u64 interrupt_flag = 0x200, by_sti = 1, by_mov_ss = 2, by_nmi = 8;
constexpr unsigned vector = 0x51;
constexpr u32 to_self = 0x4'0000 | 0x4000, nmi_command = 0x4400;
constexpr Code nops = "\x90\x90"_code;

unsigned taken, nmis;

void send() { send_command(0, to_self | vector); }
void send_nmi() { send_command(read_apic(ApicRegister::Id) >> 24, nmi_command); }
u64 is_requested() { return read_apic(static_cast<ApicRegister>(0x200 + 0x10 * (vector / 32))) >> vector % 32 & 1; }
unsigned take() {
  taken = 0;
  asm volatile("sti; nop; nop; cli" : : : "memory");
  return taken;
}

/// What is left of the interrupt behind the exit: it waits in the local APIC, then the host takes it.
struct Left {
  Left() : requested(is_requested()), taken_by_host(take()) {}
  u64 requested, taken_by_host;
};

void check_left(const char* name, u64 reason, u64 at) {
  const Left left;
  check(name, Field{"reason", exit_reason(), reason}, Field{"rip", code_offset(), at},
        Field{"requested", left.requested, 1}, Field{"taken by the host", left.taken_by_host, 1});
}

void external() {
  begin_group("external interrupt");
  for (const bool flag : {false, true}) {
    prepare(nops);
    if (flag) set(vmcs::guest_rflags, interrupt_flag);
    enable(Word::Pin, pin_control::external);
    send();
    enter();
    check_left(flag ? "exits" : "exits, although if is clear", reason::external, 0);
  }
  prepare(nops);
  send();
  enter();
  check_left("no exits, if clear", reason::vmcall, 2);
  prepare(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  send();
  enter();
  check_true("no exits, if set", arrived(vector));
  end_of_interrupt();
  if (!has(Word::Exit, exit_control::acknowledge)) return absent("acknowledged");
  prepare(nops);
  enable(Word::Pin, pin_control::external);
  enable(Word::Exit, exit_control::acknowledge);
  send();
  enter();
  const u64 requested = is_requested();
  end_of_interrupt();
  check("acknowledged", Field{"reason", exit_reason(), reason::external},
        Field{"event", get(vmcs::exit_event), event_valid | vector}, Field{"requested", requested, 0},
        Field{"taken by the host", take(), 0});
}

void blocking() {
  begin_group("interruptibility");
  prepare(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  put(vmcs::interruptibility, by_sti);
  send();
  enter();
  check("sti, no exits", Field{"rip", get(vmcs::guest_rip), event_entry(vector)},
        Field{"pushed rip", stack_word(0), code_page + 1});
  end_of_interrupt();
  prepare(nops);
  enable(Word::Pin, pin_control::external);
  set(vmcs::guest_rflags, interrupt_flag);
  put(vmcs::interruptibility, by_mov_ss);
  send();
  enter();
  // Whether MOV SS holds exits for interrupts back is the processor's choice ("Event blocking"); for windows it does.
  check_left("behind mov ss, at once or an instruction later", reason::external, code_offset() == 0 ? 0 : 1);
  prepare("\xfb\x0f\xa2"_code);
  enter();
  check("saved behind sti", Field{"reason", exit_reason(), reason::cpuid},
        Field{"blocking", get(vmcs::interruptibility), by_sti});
  prepare("\x8e\xd0\x0f\xa2"_code);
  registers.rax = 0x10;
  enter();
  check("saved behind mov ss", Field{"reason", exit_reason(), reason::cpuid},
        Field{"blocking", get(vmcs::interruptibility), by_mov_ss});
  prepare("\xfb\x90\x0f\xa2"_code);
  enter();
  check("gone one instruction later", Field{"blocking", get(vmcs::interruptibility), 0});
}

void interrupt_window() {
  begin_group("interrupt window");
  prepare(nops);
  enable(Word::Primary, primary_control::interrupt_window);
  check_finished("if clear");
  prepare(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  enable(Word::Primary, primary_control::interrupt_window);
  check_exit("if set", {reason::interrupt_window});
  prepare("\xfb\x90\x90"_code);
  enable(Word::Primary, primary_control::interrupt_window);
  check_exit("behind sti", {.reason = reason::interrupt_window, .at = 2});
  prepare(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  put(vmcs::interruptibility, by_mov_ss);
  enable(Word::Primary, primary_control::interrupt_window);
  check_exit("entered behind mov ss", {.reason = reason::interrupt_window, .at = 1});
  prepare(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  enable(Word::Primary, primary_control::interrupt_window);
  put(vmcs::entry_event, event_valid | 0x30);
  enter();
  check_true("an injected interrupt comes first", arrived(0x30));
  if ((read_msr(msr_vmx_misc) >> 6 & 1) == 0) return absent("halted");
  if (is_bochs()) return leave_out("halted", "at which Bochs hangs");
  prepare(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  put(vmcs::activity, 1);
  enable(Word::Primary, primary_control::interrupt_window);
  check_exit("halted", {reason::interrupt_window});
}

/// IRET to itself: ends the blocking that an NMI began.
void unblock_nmis() {
  asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1:"
               :
               :
               : "rax", "memory");
}

/// The guest sends the NMI itself, by the local APIC at its own address.
constexpr Code send_from_guest = "\x89\x07\x90\x90\x90\x90"_code;

void prepare_sender(u32 command) {
  prepare(send_from_guest);
  registers.rdi = 0xfee0'0300;
  registers.rax = command;
}

void nmi() {
  begin_group("nmi");
  prepare_sender(0x4'0000 | nmi_command);
  enable(Word::Pin, pin_control::nmi);
  write_apic(ApicRegister::CommandHigh, read_apic(ApicRegister::Id));
  registers.rax = nmi_command;
  enter();
  check("exits", Field{"reason", exit_reason(), reason::exception},
        Field{"event", get(vmcs::exit_event), event_valid | event_nmi | 2},
        Field{"not before the command", code_offset() >= 2, 1});
  nmis = 0;
  send_nmi();
  check("blocked behind the exit", Field{"nmis", nmis, 0});
  unblock_nmis();
  for (unsigned i = 0; i < 100 && nmis == 0; ++i) pause();
  check("taken behind iret", Field{"nmis", nmis, 1});
  prepare_sender(nmi_command);
  nmis = 0;
  enter();
  check("no exits", Field{"reason", exit_reason(), reason::vmcall}, Field{"rip", get(vmcs::guest_rip), event_entry(2)},
        Field{"blocking", get(vmcs::interruptibility) & by_nmi, by_nmi}, Field{"taken by the host", nmis, 0});
  unblock_nmis();
}

void virtual_nmi() {
  begin_group("virtual nmi");
  constexpr const char* names[] = {"injected, then blocked", "iret unblocks", "window, blocked", "window, not blocked",
                                   "window, behind mov ss"};
  if (!has(Word::Pin, pin_control::virtual_nmi) || !has(Word::Primary, primary_control::nmi_window)) {
    for (const char* name : names) absent(name);
    return;
  }
  const auto with_virtual = [](Code code) {
    prepare(code);
    enable(Word::Pin, pin_control::nmi | pin_control::virtual_nmi);
  };
  with_virtual(nops);
  put(vmcs::entry_event, event_valid | event_nmi | 2);
  enter();
  check(names[0], Field{"rip", get(vmcs::guest_rip), event_entry(2)},
        Field{"blocking", get(vmcs::interruptibility), by_nmi});
  with_virtual("\x48\xcf"_code);
  put(vmcs::interruptibility, by_nmi);
  u64* const stack = reinterpret_cast<u64*>(stack_top);
  stack[0] = code_page + 2;
  stack[1] = 8;
  stack[2] = 2;
  stack[3] = stack_top;
  stack[4] = 0x10;
  enter();
  check(names[1], Field{"reason", exit_reason(), reason::vmcall}, Field{"blocking", get(vmcs::interruptibility), 0});
  with_virtual(nops);
  enable(Word::Primary, primary_control::nmi_window);
  put(vmcs::interruptibility, by_nmi);
  check_finished(names[2]);
  with_virtual(nops);
  enable(Word::Primary, primary_control::nmi_window);
  check_exit(names[3], {reason::nmi_window});
  with_virtual(nops);
  enable(Word::Primary, primary_control::nmi_window);
  set(vmcs::guest_rflags, interrupt_flag);
  put(vmcs::interruptibility, by_mov_ss);
  check_exit(names[4], {.reason = reason::nmi_window, .at = 1});
}

void trap_flag() {
  begin_group("monitor trap flag");
  constexpr const char* names[] = {"behind one instruction", "behind an injected interrupt", "pending, injected",
                                   "hlt"};
  if (!has(Word::Primary, primary_control::trap_flag)) {
    for (const char* name : names) absent(name);
    return;
  }
  prepare(nops);
  enable(Word::Primary, primary_control::trap_flag);
  check_exit(names[0], {.reason = reason::trap_flag, .at = 1});
  prepare(nops);
  enable(Word::Primary, primary_control::trap_flag);
  set(vmcs::guest_rflags, interrupt_flag);
  put(vmcs::entry_event, event_valid | 0x30);
  enter();
  check(names[1], Field{"reason", exit_reason(), reason::trap_flag},
        Field{"rip", get(vmcs::guest_rip), event_entry(0x30)});
  if (is_bochs()) {
    leave_out(names[2], "which ends Bochs");
  } else {
    prepare(nops);
    put(vmcs::entry_event, event_valid | event_other);
    check_exit(names[2], {reason::trap_flag});
  }
  prepare("\xf4"_code);
  enable(Word::Primary, primary_control::trap_flag);
  watch();
  enter();
  check(names[3], Field{"reason", exit_reason(), reason::trap_flag}, Field{"rip", code_offset(), 1});
}

void pending_debug() {
  begin_group("pending debug exceptions");
  prepare(nops);
  put(vmcs::pending_debug, 0x1001);
  put(vmcs::exceptions, 2);
  enter();
  check("at entry", Field{"reason", exit_reason(), reason::exception},
        Field{"event", get(vmcs::exit_event), event_valid | event_exception | 1},
        Field{"qualification", get(vmcs::qualification), 1}, Field{"rip", code_offset(), 0});
  prepare(nops);
  put(vmcs::pending_debug, 0x4000);
  enter();
  check_true("taken by the guest", arrived(1));
  prepare(nops);
  put(vmcs::pending_debug, 0x1002);
  put(vmcs::interruptibility, by_mov_ss);
  put(vmcs::exceptions, 2);
  enter();
  check("behind mov ss", Field{"reason", exit_reason(), reason::exception},
        Field{"qualification", get(vmcs::qualification), 2}, Field{"rip", code_offset(), 1});
  prepare("\x8e\xd0\x0f\xa2"_code);
  registers.rax = 0x10;
  set(vmcs::guest_rflags, 0x100);
  put(vmcs::exceptions, 2);
  enter();
  check("a step that mov ss holds back", Field{"reason", exit_reason(), reason::cpuid},
        Field{"pending", get(vmcs::pending_debug) & 0x4000, 0x4000}, Field{"rip", code_offset(), 2});
}

}  // namespace

void check_interrupts() {
  enable_apic(false);
  set_handler(vector, [](Frame&) {
    ++taken;
    end_of_interrupt();
  });
  set_handler(2, [](Frame&) { ++nmis; });
  external();
  blocking();
  interrupt_window();
  nmi();
  virtual_nmi();
  trap_flag();
  pending_debug();
  set_handler(2, nullptr);
}

}  // namespace guest
