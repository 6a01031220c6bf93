// Hardware task switches: who may be switched to, what is saved and marked, and faults on the way (Intel SDM vol. 3, ch. 7).

#include "guests/conformance_protected/machine.h"

extern "C" char task_jump[], task_call[], task_iret[], task_int[], after_task[], counting_task[];
asm(R"(
        .text
            .globl task_jump
task_jump:  push %eax
            push $0
            ljmp *(%esp)
task_call:  push %eax
            push $0
            lcall *(%esp)
after_task: int $0x80
task_iret:  pushf
            orl $0x4000, (%esp)
            popf
            iret
task_int:   int $0x40
            int $0x80
# Comes back by IRET, as the nested task that it is.
counting_task:
            add $0x11, %ebx
            iret
)");

namespace guest {

namespace {

unsigned type_of(u16 selector) { return static_cast<unsigned>(segments[selector / 8] >> 40) & 0x1f; }

void print_marks() {
  print(" main ", Hex{type_of(main_task)}, " other ", Hex{type_of(other_task)}, " tr ", Hex{outcome.tr}, " nt ",
        Hex{outcome.eflags >> 14 & 1}, " link ", Hex{other_state.link & 0xffff}, " saved flags ",
        Hex{main_state.eflags & 0x4000}, "\n");
}

void check_marks() {
  struct Case {
    const char* name;
    const char* code;
  };
  constexpr Case cases[] = {{"jmp", task_jump}, {"call", task_call}, {"int", task_int}, {"iret", task_iret}};
  for (const Case& c : cases) {
    for (const unsigned level : {0u, 3u}) {
      restore_tables();
      if (level == 3 && c.code == task_iret) continue;
      segments[other_task / 8] |= u64{0x60} << 40;
      gates[0x40] = gate(other_task, 0, 0xe5);
      if (c.code == task_iret) {
        segments[other_task / 8] |= u64{2} << 40;
        main_state.link = other_task;
      }
      run(c.code, level, {other_task, 0, 0, 0x55});
      print("task ", c.name, " cpl", Hex{level}, ": ");
      print_outcome(c.code);
      print_marks();
      print("task ", c.name, " cpl", Hex{level}, " saved: eip +", Hex{main_state.eip - address_of(c.code)}, " ebx ",
            Hex{main_state.ebx}, " esp ", Hex{main_state.esp}, " cs ", Hex{main_state.cs}, " ss ", Hex{main_state.ss},
            " ds ", Hex{main_state.ds}, "; new: ebx ", Hex{outcome.ebx}, " esp ", Hex{outcome.esp_of_pusha + 20}, "\n");
    }
  }
  u32 cr0;
  restore_tables();
  run(task_jump, 0, {other_task, 0, 0, 0});
  asm volatile("mov %%cr0, %0" : "=r"(cr0));
  print("ts after a task switch: ", Hex{cr0 & 8}, "\n");
}

void check_return() {
  for (const char* code : {task_call, task_int}) {
    restore_tables();
    other_state.eip = address_of(counting_task);
    gates[0x40] = gate(other_task, 0, 0xe5);
    run(code, 0, {other_task, 0, 0, 0x55});
    print(code == task_call ? "call" : "int", " and iret: ");
    print_outcome(code);
    print(" ebx ", Hex{outcome.ebx}, " other ebx ", Hex{other_state.ebx}, " other eip +",
          Hex{other_state.eip - address_of(counting_task)}, " other flags ", Hex{other_state.eflags & 0x4000});
    print_marks();
  }
}

void check_refusals() {
  struct Case {
    const char* name;
    u64 entry;
    u16 selector;
  };
  const u32 base = address_of(&other_state);
  const Case cases[] = {
      {"busy", descriptor(base, 0x67, 0xeb, 0), slot | 3},
      {"absent", descriptor(base, 0x67, 0x69, 0), slot | 3},
      {"short", descriptor(base, 0x66, 0xe9, 0), slot | 3},
      {"just long enough", descriptor(base, 0x67, 0xe9, 0), slot | 3},
      {"dpl 0", descriptor(base, 0x67, 0x89, 0), slot | 3},
      {"short tss16", descriptor(address_of(&other_state16), 0x2a, 0xe1, 0), slot | 3},
      {"tss16", descriptor(address_of(&other_state16), 0x2b, 0xe1, 0), slot | 3},
      {"busy tss16", descriptor(address_of(&other_state16), 0x2b, 0xe3, 0), slot | 3},
      {"in the ldt", descriptor(base, 0x67, 0xe9, 0), 0x0f},
      {"task gate to busy", gate(main_task, 0, 0xe5), slot | 3},
      {"task gate absent", gate(other_task, 0, 0x65), slot | 3},
      {"task gate dpl 0", gate(other_task, 0, 0x85), slot | 3},
      {"task gate to null", gate(0, 0, 0xe5), slot | 3},
      {"task gate to data", gate(data0, 0, 0xe5), slot | 3},
  };
  for (const Case& c : cases) {
    for (const char* code : {task_jump, task_call}) {
      restore_tables();
      segments[slot / 8] = c.entry;
      local_segments[1] = c.entry;
      run(code, 3, {c.selector, 0, 0, 0});
      print(code == task_jump ? "jmp" : "call", " to a task, ", c.name, ": ");
      print_outcome(code);
      print_marks();
    }
  }
  struct Link {
    const char* name;
    u16 selector;
    u64 entry;
  };
  const Link links[] = {{"null", 0, 0},
                        {"available", slot, descriptor(base, 0x67, 0x89, 0)},
                        {"busy", slot, descriptor(base, 0x67, 0x8b, 0)},
                        {"absent", slot, descriptor(base, 0x67, 0x0b, 0)},
                        {"short", slot, descriptor(base, 0x60, 0x8b, 0)},
                        {"data", data0, 0},
                        {"in the ldt", 0xc, 0},
                        {"beyond the gdt", 0x200, 0}};
  for (const Link& l : links) {
    restore_tables();
    if (l.entry != 0) segments[slot / 8] = l.entry;
    main_state.link = l.selector;
    run(task_iret, 0);
    print("iret to a task, ", l.name, ": ");
    print_outcome(task_iret);
    print_marks();
  }
}

/// Faults of the new task: they are told in its context.
void check_new_context() {
  struct Case {
    const char* name;
    u32 TaskState::*field;
    u32 value;
    u64 entry;
  };
  const Case cases[] = {
      {"ldt null", &TaskState::ldt, 0, 0},
      {"ldt not one", &TaskState::ldt, data0, 0},
      {"ldt absent", &TaskState::ldt, slot, descriptor(0, 0xff, 0x02, 0)},
      {"ldt in the ldt", &TaskState::ldt, 0xc, 0},
      {"ldt beyond", &TaskState::ldt, 0x200, 0},
      {"cs null", &TaskState::cs, 0, 0},
      {"cs data", &TaskState::cs, data0, 0},
      {"cs absent", &TaskState::cs, slot, descriptor(0, 0xfffff, 0x1b, 0xc0)},
      {"cs dpl", &TaskState::cs, slot, descriptor(0, 0xfffff, 0xfb, 0xc0)},
      {"cs conforming", &TaskState::cs, slot, descriptor(0, 0xfffff, 0x9f, 0xc0)},
      {"cs conforming dpl 3", &TaskState::cs, slot, descriptor(0, 0xfffff, 0xff, 0xc0)},
      {"cs beyond", &TaskState::cs, 0x200, 0},
      {"cs short", &TaskState::cs, slot, descriptor(0, 0x100, 0x9b, 0x40)},
      {"ss null", &TaskState::ss, 0, 0},
      {"ss code", &TaskState::ss, code0, 0},
      {"ss rpl", &TaskState::ss, data0 | 3, 0},
      {"ss dpl", &TaskState::ss, slot, descriptor(0, 0xfffff, 0xf3, 0xc0)},
      {"ss absent", &TaskState::ss, slot, descriptor(0, 0xfffff, 0x13, 0xc0)},
      {"ss beyond", &TaskState::ss, 0x200, 0},
      {"ds null", &TaskState::ds, 0, 0},
      {"ds execute-only", &TaskState::ds, slot, descriptor(0, 0xfffff, 0x99, 0xc0)},
      {"ds absent", &TaskState::ds, slot, descriptor(0, 0xfffff, 0x13, 0xc0)},
      {"ds tss", &TaskState::ds, main_task, 0},
      {"es beyond", &TaskState::es, 0x200, 0},
      {"fs dpl", &TaskState::fs, data0 | 3, 0},
      {"gs absent", &TaskState::gs, slot, descriptor(0, 0xfffff, 0x13, 0xc0)},
  };
  // Faults in the new task are handled in a third, so that its own broken stack does not matter.
  for (const Case& c : cases) {
    restore_tables();
    segments[slot / 8] = c.entry;
    other_state.*c.field = c.value;
    other_state.eax = 0x777;
    static TaskState third;
    third = main_state;
    third.eip = landing;
    third.cs = code0;
    third.eflags = 2;
    third.ss = third.ds = third.es = third.fs = third.gs = data0;
    third.esp = task_stack + 0x400;
    segments[slot_more / 8] = descriptor(address_of(&third), 0x67, 0x89, 0);
    for (const unsigned vector : {10u, 11u, 12u, 13u}) gates[vector] = gate(slot_more, 0, 0x85);
    run(task_jump, 0, {other_task, 0, 0, 0});
    print("new task, ", c.name, ": tr ", Hex{outcome.tr});
    if (outcome.tr == slot_more) {
      print(" error ", Hex{outcome.rest[0] & 0xffff}, " link ", Hex{third.link & 0xffff}, " of eip ",
            Hex{other_state.eip}, " cs ", Hex{other_state.cs & 0xffff}, " ss ", Hex{other_state.ss & 0xffff}, " ds ",
            Hex{other_state.ds & 0xffff}, " eax ", Hex{other_state.eax});
    }
    print(" main ", Hex{type_of(main_task)}, " other ", Hex{type_of(other_task)}, "\n");
    for (const unsigned vector : {10u, 11u, 12u, 13u}) restore_gate(vector);
  }
  restore_tables();
  other_state.trap = 1;
  run(task_jump, 0, {other_task, 0, 0, 0});
  u32 dr6;
  asm volatile("mov %%dr6, %0; mov %1, %%dr6" : "=r"(dr6) : "r"(0xffff'0ff0));
  write("new task, debug trap: ");
  print_outcome(task_jump);
  print(" dr6 ", Hex{dr6 & 0xe00f}, "\n");
  restore_tables();
  other_state.cs = code3;
  other_state.ss = data3;
  other_state.ds = other_state.es = other_state.fs = other_state.gs = data0;
  run(task_jump, 0, {other_task, 0, 0, 0});
  write("new task, level 3 with kernel data: ");
  print_outcome(task_jump);
  write("\n");
}

void check_error_code() {
  restore_tables();
  gates[11] = gate(other_task, 0, 0x85);
  segments[slot / 8] = descriptor(0, 0xfffff, 0x13, 0xc0);
  extern char load_absent[] asm("load_absent");
  run(load_absent, 0, {slot, 0, 0, 0});
  restore_gate(11);
  print("#NP through a task gate: tr ", Hex{outcome.tr}, " error ", Hex{outcome.rest[0]}, " saved eip +",
        Hex{main_state.eip - address_of(load_absent)}, " saved flags ", Hex{main_state.eflags & 0x10000}, "\n");
}

void check_tss16() {
  restore_tables();
  segments[slot / 8] = descriptor(address_of(&other_state16), 0x2b, 0x81, 0);
  other_state16.bx = 0x4321;
  run(task_call, 0, {slot, 0, 0, 0x1234'5678});
  write("tss16 call: ");
  print_outcome(task_call);
  print(" bx ", Hex{outcome.ebx & 0xffff}, " tr ", Hex{outcome.tr}, " link ", Hex{other_state16.link}, " fs ",
        Hex{outcome.fs & 0xffff}, " gs ", Hex{outcome.gs & 0xffff}, " saved ebx ", Hex{main_state.ebx}, "\n");
}

}  // namespace

void check_tasks() {
  check_marks();
  check_return();
  check_refusals();
  check_new_context();
  check_error_code();
  check_tss16();
}

}  // namespace guest
