// Physical interrupts and NMIs at a guest, the global interrupt flag, interrupt shadows (AMD APM vol. 2, 15.13, 15.17, 15.21.5).

#include "guests/runtime/interrupts.h"

#include "guests/conformance_svm/machine.h"
#include "guests/runtime/apic.h"

namespace guest {

namespace {

constexpr u64 interrupt_flag = 0x200;
constexpr unsigned vector = 0x51;
constexpr u32 to_self = 0x4'0000 | 0x4000, nmi_command = 0x4400;

unsigned taken, nmis;

void send() { send_command(0, to_self | vector); }
void send_nmi() { send_command(read_apic(ApicRegister::Id) >> 24, nmi_command); }
bool is_requested() {
  return (read_apic(static_cast<ApicRegister>(0x200 + 0x10 * (vector / 32))) >> vector % 32 & 1) != 0;
}
/// The host takes what is pending.
unsigned take() {
  taken = 0;
  asm volatile("sti; nop; nop; cli" : : : "memory");
  return taken;
}

/// What is left of the interrupt behind #VMEXIT: it waits in the local APIC, then the host takes it.
struct Left {
  Left() : requested(is_requested()), taken_by_host(take()) {}
  u64 requested, taken_by_host;
};

void check_exit_of(const char* name, u64 exit, u64 at) {
  const Left left;
  check(name, Field{"exit", vmcb.exit_code, exit}, Field{"rip", code_offset(), at},
        Field{"requested", left.requested, 1}, Field{"taken by the host", left.taken_by_host, 1});
}

struct Row {
  const char* name;
  bool intercepted, guest_if, host_if, masking;
  enum { Exits, Arrives, Waits } outcome;
};
constexpr Row rows[] = {
    {"intercepted, if", true, true, false, false, Row::Exits},
    {"intercepted, no if", true, false, false, false, Row::Waits},
    {"intercepted, if of the host only", true, false, true, false, Row::Waits},
    {"not intercepted, if", false, true, false, false, Row::Arrives},
    {"not intercepted, no if", false, false, false, false, Row::Waits},
    {"intercepted, masking, host if", true, false, true, true, Row::Exits},
    {"intercepted, masking, no host if", true, true, false, true, Row::Waits},
    {"intercepted, masking, both if", true, true, true, true, Row::Exits},
    {"not intercepted, masking, host if", false, false, true, true, Row::Arrives},
    {"not intercepted, masking, no host if", false, true, false, true, Row::Waits},
};

void check_row(const Row& row) {
  prepare("\x90\x90"_code);
  if (row.intercepted) intercept(exit_code::intr);
  if (row.guest_if) vmcb.rflags |= interrupt_flag;
  if (row.host_if) host_flags |= interrupt_flag;
  if (row.masking) vmcb.virtual_interrupt |= v_intr_masking;
  send();
  enter();
  switch (row.outcome) {
    case Row::Exits: check_exit_of(row.name, exit_code::intr, 0); break;
    case Row::Arrives:
      check(row.name, Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", vmcb.rip, event_entry(vector)},
            Field{"requested", is_requested(), 0});
      end_of_interrupt();
      break;
    case Row::Waits: check_exit_of(row.name, exit_code::vmmcall, 2); break;
  }
}

void shadows() {
  begin_group("interrupt shadow");
  prepare("\x90\x90"_code);
  intercept(exit_code::intr);
  vmcb.rflags |= interrupt_flag;
  vmcb.shadow = 1;
  send();
  enter();
  const u64 shadow = vmcb.shadow & 1;
  begin_line(shadow == 0 ? "" : "still set, ");
  check_exit_of("of the VMCB", exit_code::intr, 1);
  prepare("\xfb\x90\x90"_code);
  intercept(exit_code::intr);
  send();
  enter();
  check_exit_of("of sti", exit_code::intr, 2);
  prepare("\xfb\x0f\xa2"_code);
  intercept(exit_code::cpuid);
  enter();
  check("saved behind sti", Field{"exit", vmcb.exit_code, exit_code::cpuid}, Field{"shadow", vmcb.shadow & 1, 1});
  prepare("\x8e\xd0\x0f\xa2"_code);
  vmcb.rax = 0x10;
  intercept(exit_code::cpuid);
  enter();
  check("saved behind mov ss", Field{"exit", vmcb.exit_code, exit_code::cpuid}, Field{"shadow", vmcb.shadow & 1, 1});
  prepare("\xfb\x90\x0f\xa2"_code);
  intercept(exit_code::cpuid);
  enter();
  check("gone one instruction later", Field{"exit", vmcb.exit_code, exit_code::cpuid},
        Field{"shadow", vmcb.shadow & 1, 0});
}

void halted() {
  begin_group("halted guest");
  prepare("\x90\xf4"_code);
  intercept(exit_code::intr);
  vmcb.rflags |= interrupt_flag;
  vmcb.shadow = 1;
  send();
  enter();
  check_exit_of("interrupt before hlt", exit_code::intr, 1);
  prepare("\xfb\xf4"_code);
  intercept(exit_code::intr);
  send();
  enter();
  check_exit_of("interrupt behind hlt", exit_code::intr, 2);
}

void nmi() {
  begin_group("nmi");
  prepare("\x90"_code);
  intercept(exit_code::nmi);
  nmis = 0;
  asm volatile("clgi");
  send_nmi();
  const unsigned held = nmis;
  enter();
  check("intercepted", Field{"taken while gif is clear", held, 0}, Field{"exit", vmcb.exit_code, exit_code::nmi},
        Field{"rip", code_offset(), 0}, Field{"taken by the host", nmis, 1});
  prepare("\x90"_code);
  nmis = 0;
  asm volatile("clgi");
  send_nmi();
  enter();
  check("not intercepted", Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"rip", vmcb.rip, event_entry(2)},
        Field{"taken by the host", nmis, 0});
  // IRET ends the blocking that the guest's NMI began; it is the same processor's.
  asm volatile("mov %%rsp, %%rax; push $0x10; push %%rax; pushfq; push $8; lea 1f(%%rip), %%rax; push %%rax; iretq; 1:"
               :
               :
               : "rax", "memory");
  send_nmi();
  for (unsigned i = 0; i < 100 && nmis == 0; ++i) pause();
  check("taken again by the host", Field{"nmis", nmis, 1});
}

/// Breakpoints of the debug registers are discarded while GIF is clear ("Global interrupt flag, STGI and CLGI instructions", table
/// 15-10): of an instruction, and of data.
void breakpoints_without_gif() {
  static unsigned breakpoints;
  static volatile u64 watched;
  breakpoints = 0;
  set_handler(1, [](Frame& frame) {
    ++breakpoints;
    frame.rflags |= 1u << 16;
  });
  constexpr u64 execute_0_write_1 = 0x400 | 1 | 4 | u64{1} << 20;
  u64 with_gif = 0;
  for (const bool gif : {true, false}) {
    with_gif = breakpoints;
    breakpoints = 0;
    if (!gif) asm volatile("clgi");
    asm volatile(
        "lea 1f(%%rip), %%rax; mov %%rax, %%dr0; mov %1, %%dr1; mov %2, %%dr7; 1: nop; incq (%1); nop; mov %3, %%dr7"
        :
        : "m"(watched), "r"(&watched), "r"(execute_0_write_1), "r"(u64{0x400})
        : "rax", "memory");
    if (!gif) asm volatile("stgi; nop");
  }
  check("breakpoints", Field{"with gif", with_gif, 2}, Field{"without", breakpoints, 0});
  set_handler(1, nullptr);
}

void global_flag() {
  begin_group("gif");
  taken = nmis = 0;
  asm volatile("clgi; sti" : : : "memory");
  send();
  asm volatile("nop; nop" : : : "memory");
  const unsigned before = taken;
  asm volatile("stgi; nop; nop; cli" : : : "memory");
  check("interrupt waits for stgi", Field{"before", before, 0}, Field{"behind", taken, 1});
  asm volatile("clgi");
  send_nmi();
  for (unsigned i = 0; i < 10; ++i) pause();
  const unsigned nmis_before = nmis;
  asm volatile("stgi; nop; nop" : : : "memory");
  check("nmi waits for stgi", Field{"before", nmis_before, 0}, Field{"behind", nmis, 1});
  breakpoints_without_gif();
  prepare(""_code);
  host_flags |= interrupt_flag;
  intercept(exit_code::intr);
  taken = 0;
  enter();
  send();
  const unsigned early = taken, later = take();
  check("clear behind #VMEXIT", Field{"if", host_flags_after & interrupt_flag, interrupt_flag},
        Field{"taken", early, 0}, Field{"taken later", later, 1});
  prepare("\x0f\x01\xdd\x90\x90\x0f\x01\xdc\x90"_code);
  intercept(exit_code::intr);
  vmcb.rflags |= interrupt_flag;
  vmcb.shadow = 1;  // the guest's CLGI comes first
  send();
  enter();
  check_exit_of("the guest's own clgi and stgi", exit_code::intr, 8);
}

constexpr u32 msr_vm_cr_r_init = 2;

void init() {
  begin_group("init");
  constexpr const char* names[] = {"intercepted, then redirected to #SX", "redirected in the guest, #SX intercepted"};
  if (!has(svm_feature::lock)) return absent(names[0]), absent(names[1]);
  write_msr(msr_vm_cr, read_msr(msr_vm_cr) | msr_vm_cr_r_init);
  // A simulator that has no VM_CR would be reset.
  if ((read_msr(msr_vm_cr) & msr_vm_cr_r_init) == 0) return absent(names[0]), absent(names[1]);
  static unsigned redirected;
  set_handler(30, [](Frame& frame) { redirected = frame.error == 1 ? 1 : 2; });
  prepare("\x90"_code);
  intercept(exit_code::init);
  asm volatile("clgi");
  send_command(read_apic(ApicRegister::Id) >> 24, 0x4500);
  enter();
  check(names[0], Field{"exit", vmcb.exit_code, exit_code::init}, Field{"rip", code_offset(), 0},
        Field{"#SX", redirected, 1});
  set_handler(30, nullptr);
  prepare("\x90"_code);
  vmcb.exceptions = 1u << 30;
  asm volatile("clgi");
  send_command(read_apic(ApicRegister::Id) >> 24, 0x4500);
  enter();
  check(names[1], Field{"exit", vmcb.exit_code, exit_code::exception + 30}, Field{"error", vmcb.exit_info1, 1},
        Field{"rip", code_offset(), 0});
  write_msr(msr_vm_cr, read_msr(msr_vm_cr) & ~u64{msr_vm_cr_r_init});
}

}  // namespace

void check_interrupts() {
  enable_apic(false);
  set_handler(vector, [](Frame&) {
    ++taken;
    end_of_interrupt();
  });
  set_handler(2, [](Frame&) { ++nmis; });
  begin_group("interrupt");
  for (const Row& row : rows) check_row(row);
  shadows();
  halted();
  nmi();
  global_flag();
  init();
  set_handler(2, nullptr);
}

}  // namespace guest
