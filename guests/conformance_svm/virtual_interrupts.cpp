// V_IRQ, V_TPR, V_IGN_TPR, V_INTR_MASKING and the virtual GIF (AMD APM vol. 2, 15.21 and "Virtual GIF").

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 interrupt_flag = 0x200;
constexpr unsigned vector = 0x57;

enum class Outcome { Arrives, Exits, Waits };

struct Row {
  const char* name;
  Code code;
  u64 control;
  bool flag, intercepted;
  Outcome outcome;
  u64 at = 0;
};

constexpr u64 irq = v_interrupt(vector, 5);
constexpr Code nop = "\x90"_code;

constexpr Row rows[] = {
    {"if", nop, irq, true, false, Outcome::Arrives},
    {"no if", nop, irq, false, false, Outcome::Waits},
    {"priority above v_tpr", nop, irq | 4, true, false, Outcome::Arrives},
    {"priority equal to v_tpr", nop, irq | 5, true, false, Outcome::Waits},
    {"priority below v_tpr", nop, irq | 6, true, false, Outcome::Waits},
    {"v_ign_tpr", nop, irq | v_ignore_tpr | 15, true, false, Outcome::Arrives},
    {"intercepted, if", nop, irq, true, true, Outcome::Exits},
    {"intercepted, no if", nop, irq, false, true, Outcome::Waits},
    {"intercepted, v_tpr", nop, irq | 5, true, true, Outcome::Waits},
    {"masking", nop, irq | v_intr_masking, true, false, Outcome::Arrives},
    {"masking, no if", nop, irq | v_intr_masking, false, false, Outcome::Waits},
    {"behind sti", "\xfb\x90\x90"_code, irq, false, false, Outcome::Arrives, 2},
    {"behind sti, intercepted", "\xfb\x90\x90"_code, irq, false, true, Outcome::Exits, 2},
    {"behind popf", "\x68\x02\x02\x00\x00\x9d\x90"_code, irq, false, false, Outcome::Arrives, 6},
    {"behind mov cr8", "\x44\x0f\x22\xc0\x90\x90"_code, irq | v_intr_masking | 7, true, true, Outcome::Exits, 4},
    {"behind hlt", "\xfb\xf4\x90"_code, irq, false, false, Outcome::Arrives, 2},
};

void check_row(const Row& row) {
  if (row.code.bytes[0] == '\x44' && would_end_qemu(row.name, "which fails an assertion")) return;
  prepare(row.code);
  vmcb.virtual_interrupt = row.control;
  if (row.flag) vmcb.rflags |= interrupt_flag;
  if (row.intercepted) intercept(exit_code::vintr);
  enter();
  const u64 left = vmcb.virtual_interrupt & v_irq;
  switch (row.outcome) {
    case Outcome::Arrives:
      return check(row.name, Field{"exit", vmcb.exit_code, exit_code::vmmcall},
                   Field{"rip", vmcb.rip, event_entry(vector)}, Field{"pushed rip", stack_word(0), code_page + row.at},
                   Field{"v_irq", left, 0});
    case Outcome::Exits:
      return check(row.name, Field{"exit", vmcb.exit_code, exit_code::vintr}, Field{"rip", code_offset(), row.at},
                   Field{"v_irq", left, v_irq});
    case Outcome::Waits:
      return check(row.name, Field{"exit", vmcb.exit_code, exit_code::vmmcall},
                   Field{"rip", code_offset(), row.code.size}, Field{"v_irq", left, v_irq});
  }
}

u64 host_cr8() {
  u64 value;
  asm volatile("mov %%cr8, %0" : "=r"(value));
  return value;
}
void set_host_cr8(u64 value) { asm volatile("mov %0, %%cr8" : : "r"(value) : "memory"); }

void task_priority() {
  begin_group("cr8");
  set_host_cr8(3);
  prepare("\x44\x0f\x20\xc0"_code);
  vmcb.virtual_interrupt = v_intr_masking | 9;
  enter();
  check("masking, read", Field{"rax", vmcb.rax, 9}, Field{"host", host_cr8(), 3});
  prepare("\x44\x0f\x22\xc0"_code);
  vmcb.virtual_interrupt = v_intr_masking | 9;
  vmcb.rax = 6;
  enter();
  check("masking, write", Field{"v_tpr", vmcb.virtual_interrupt & 0xff, 6}, Field{"host", host_cr8(), 3});
  prepare("\x44\x0f\x20\xc0"_code);
  vmcb.virtual_interrupt = 9;
  enter();
  check("no masking, read", Field{"rax", vmcb.rax, 3});
  prepare("\x44\x0f\x22\xc0"_code);
  vmcb.rax = 6;
  enter();
  check("no masking, write", Field{"host", host_cr8(), 6});
  set_host_cr8(0);
}

void virtual_gif() {
  begin_group("virtual gif");
  constexpr const char* names[] = {
      "clear holds back",  "set lets through",    "clgi", "stgi", "stgi under its intercept",
      "stgi lets through", "without v_gif_enable"};
  if (!has(svm_feature::virtual_gif)) {
    for (const char* name : names) absent(name);
    return;
  }
  prepare(nop);
  vmcb.virtual_interrupt = irq | v_gif_enable;
  vmcb.rflags |= interrupt_flag;
  check_finished(names[0]);
  prepare(nop);
  vmcb.virtual_interrupt = irq | v_gif_enable | v_gif;
  vmcb.rflags |= interrupt_flag;
  enter();
  check_true(names[1], arrived(vector));
  prepare("\x0f\x01\xdd"_code);
  vmcb.virtual_interrupt = v_gif_enable | v_gif;
  enter();
  check(names[2], Field{"exit", vmcb.exit_code, exit_code::vmmcall}, Field{"v_gif", vmcb.virtual_interrupt & v_gif, 0});
  prepare("\x0f\x01\xdc"_code);
  vmcb.virtual_interrupt = v_gif_enable;
  enter();
  check(names[3], Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        Field{"v_gif", vmcb.virtual_interrupt & v_gif, v_gif});
  prepare("\x0f\x01\xdc"_code);
  vmcb.virtual_interrupt = v_gif_enable;
  intercept(exit_code::stgi);
  check_exit(names[4], {exit_code::stgi, 3});
  prepare("\x0f\x01\xdc\x90"_code);
  vmcb.virtual_interrupt = irq | v_gif_enable;
  vmcb.rflags |= interrupt_flag;
  enter();
  check(names[5], Field{"rip", vmcb.rip, event_entry(vector)}, Field{"pushed rip", stack_word(0), code_page + 3});
  prepare(nop);
  vmcb.virtual_interrupt = irq;
  vmcb.rflags |= interrupt_flag;
  enter();
  check_true(names[6], arrived(vector));
}

}  // namespace

void check_virtual_interrupts() {
  begin_group("virtual interrupt");
  for (const Row& row : rows) check_row(row);
  task_priority();
  virtual_gif();
}

}  // namespace guest
