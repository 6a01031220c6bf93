// JMP, CALL, RET far and IRET to every kind of descriptor, and what they leave on stacks (Intel SDM vol. 3, 5.8; vol. 2).

#include "guests/conformance_protected/machine.h"

extern "C" char far_jump[], far_call[], far_call_16[], far_jump_16[], far_return[], far_return_8[], interrupt_return[],
    call_with_parameters[], far_return_16[];
asm(R"(
        .text
far_jump:    push %eax
             push $0x6000
             ljmp *(%esp)
far_call:    push %eax
             push $0x6000
             lcall *(%esp)
             int $0x80
far_call_16: push %ax
             pushw $0x6000
             lcallw *(%esp)
             int $0x80
far_jump_16: push %ax
             pushw $0x6000
             ljmpw *(%esp)
call_with_parameters:
             push $0x33333333
             push $0x22222222
             push $0x11111111
             mov %eax, %ecx
             push %ecx
             push $0
             lcall *(%esp)
             int $0x80
far_return:  push %ebx
             push %ecx
             push %eax
             push $0x6000
             lret
far_return_8:
             push %ebx
             push %ecx
             push $0x88888888
             push $0x99999999
             push %eax
             push $0x6000
             lret $8
far_return_16:
             push %bx
             push %cx
             push %ax
             pushw $0x6000
             lretw
interrupt_return:
             push %ebx
             push %ecx
             push %edx
             push %eax
             push $0x6000
             iret
)");

namespace guest {

namespace {

struct Operation {
  const char* name;
  const char* code;
};

constexpr Operation jumps[] = {{"ljmp", far_jump}, {"lcall", far_call}};

bool is_gate(unsigned type) { return type == 4 || type == 5 || type == 12; }

/// A descriptor of any access byte that leads to `landing` if it leads anywhere.
u64 leading_to_landing(u8 access, u16 target) {
  const unsigned type = access & 0x1f;
  if (is_gate(type)) return gate(type == 5 ? other_task : target, landing, access);
  if (type == 1 || type == 3) return descriptor(address_of(&other_state16), 0x2b, access, 0);
  if (type == 9 || type == 11) return descriptor(address_of(&other_state), 0x67, access, 0);
  return descriptor(0, 0xfffff, access, 0xc0);
}

void check_all_descriptors() {
  for (const Operation& o : jumps) {
    for (const unsigned level : {0u, 3u}) {
      for (const unsigned rpl : {0u, 3u}) {
        for (unsigned high = 0; high < 16; ++high) {
          print(o.name, " cpl", Hex{level}, " rpl", Hex{rpl}, " access ", Hex{high}, "x:");
          for (unsigned type = 0; type < 16; ++type) {
            restore_tables();
            segments[slot / 8] = leading_to_landing(static_cast<u8>(high << 4 | type), code0);
            run(o.code, level, {slot | rpl, 0, 0, 0});
            print_short();
            if (outcome.ended_well()) print(Hex{outcome.level()}, outcome.tr == main_task ? "" : "T");
          }
          write("\n");
        }
      }
    }
  }
}

/// Gate to every kind of code, from levels 0 and 3.
void check_gate_targets() {
  for (const u8 type : {u8{0x8c}, u8{0x84}}) {
    for (const Operation& o : jumps) {
      for (const unsigned level : {0u, 1u, 3u}) {
        for (const u8 dpl : {u8{0}, u8{0x20}, u8{0x60}}) {
          print("gate ", Hex{type}, " ", o.name, " cpl", Hex{level}, " to dpl ", Hex{static_cast<u32>(dpl) >> 5}, ":");
          for (unsigned kind = 0; kind < 16; ++kind) {
            restore_tables();
            const u8 present = kind < 8 ? 0x90 : 0x10;
            segments[slot_more / 8] = descriptor(0, 0xfffff, static_cast<u8>(present | dpl | 8 | (kind & 7)), 0xc0);
            segments[slot / 8] = gate(slot_more, landing, static_cast<u8>(type | 0x60));
            run(o.code, level, {slot | level, 0, 0, 0});
            print_short();
            if (outcome.ended_well()) print(Hex{outcome.level()});
          }
          write("\n");
        }
      }
    }
  }
}

void print_landing(const void* code) {
  print_outcome(code);
  if (!outcome.ended_well()) return write("\n");
  print(" cs ", Hex{outcome.cs}, " ss ", Hex{outcome.ss}, " tr ", Hex{outcome.tr}, " esp ",
        Hex{outcome.esp_of_pusha + 20}, " stack");
  const unsigned words = 9;
  for (unsigned i = 0; i < words; ++i) print(" ", Hex{outcome.rest[i]});
  write("\n");
}

void check_frames() {
  struct Case {
    const char* name;
    const char* code;
    u64 entry;
    unsigned level;
  };
  const Case cases[] = {
      {"call to code", far_call, descriptor(0, 0xfffff, 0x9b, 0xc0), 0},
      {"call to code, 16 bits", far_call_16, descriptor(0, 0xfffff, 0x9b, 0xc0), 0},
      {"jump to code, 16 bits", far_jump_16, descriptor(0, 0xfffff, 0x9b, 0xc0), 0},
      {"call to conforming code", far_call, descriptor(0, 0xfffff, 0x9f, 0xc0), 3},
      {"call gate, same level", far_call, gate(code0, landing, 0x8c, 2), 0},
      {"call gate, inner level", call_with_parameters, gate(code0, landing, 0xec, 4), 3},
      {"call gate, level 3 to 1", call_with_parameters, gate(code1, landing, 0xec, 2), 3},
      {"call gate, level 1 to 0", call_with_parameters, gate(code0, landing, 0xec, 0), 1},
      {"call gate 16, inner level", call_with_parameters, gate(code0, landing, 0xe4, 4), 3},
      {"call gate 16, same level", far_call, gate(code0, landing, 0x84, 0), 0},
      {"gate offset beyond the limit", far_call, gate(code16, 0x1'0000, 0x8c), 0},
      {"gate with a null selector", far_call, gate(0, landing, 0x8c), 0},
      {"gate beyond the gdt", far_call, gate(0x108, landing, 0x8c), 0},
      {"gate to data", far_call, gate(data0, landing, 0x8c), 0},
  };
  for (const Case& c : cases) {
    restore_tables();
    segments[slot / 8] = c.entry;
    run(c.code, c.level, {slot | c.level, 0, 0, 0});
    print(c.name, ": ");
    print_landing(c.code);
  }
}

/// What the TSS says of the inner stack, and stacks too small for the frame.
void check_inner_stacks() {
  struct Case {
    const char* name;
    u32 ss;
    u64 entry;
    u32 esp;
  };
  const Case cases[] = {
      {"good", slot_more, descriptor(0, 0xfffff, 0x93, 0xc0), inner_stack},
      {"small", slot_more, descriptor(0, 0xffff, 0x93, 0), inner_stack},
      {"null", 0, 0, inner_stack},
      {"rpl", slot_more | 1, descriptor(0, 0xfffff, 0x93, 0xc0), inner_stack},
      {"dpl", slot_more, descriptor(0, 0xfffff, 0xf3, 0xc0), inner_stack},
      {"read-only", slot_more, descriptor(0, 0xfffff, 0x91, 0xc0), inner_stack},
      {"code", slot_more, descriptor(0, 0xfffff, 0x9b, 0xc0), inner_stack},
      {"absent", slot_more, descriptor(0, 0xfffff, 0x13, 0xc0), inner_stack},
      {"beyond the gdt", 0x200, 0, inner_stack},
      {"no room", slot_more, descriptor(0, 0xfffff, 0x93, 0xc0), 8},
      {"above its limit", slot_more, descriptor(0, 0x8fff, 0x93, 0x40), inner_stack + 0x100},
  };
  for (const Case& c : cases) {
    for (const bool interrupt : {false, true}) {
      restore_tables();
      segments[slot / 8] = gate(code0, landing, 0xec);
      segments[slot_more / 8] = c.entry;
      // Level 1 holds it, so that the fault itself finds a stack: call and interrupt go from 3 to 1.
      segments[slot / 8] = gate(code1, landing, 0xec);
      gates[0x40] = gate(code1, landing, 0xee);
      main_state.ss1 = c.ss == 0 ? 0 : c.ss | 1;
      if (c.name[0] == 'r' && c.name[1] == 'p') main_state.ss1 = slot_more;
      segments[slot_more / 8] = c.entry;
      if (c.name[0] != 'd') segments[slot_more / 8] |= u64{0x20} << 40;
      main_state.esp1 = c.esp;
      extern char int_40[] asm("int_40");
      const char* code = interrupt ? int_40 : far_call;
      run(code, 3, {slot | 3, 0, 0, 0});
      print(interrupt ? "interrupt" : "call", " to an inner stack, ", c.name, ": ");
      print_outcome(code);
      write("\n");
    }
  }
  for (const u16 limit : {u16{0xb}, u16{0x10}, u16{0x11}, u16{0x12}, u16{0x13}}) {
    restore_tables();
    segments[slot / 8] = gate(code1, landing, 0xec);
    segments[main_task / 8] = descriptor(address_of(&main_state), limit, 0x89, 0);
    asm volatile("ltr %w0" : : "r"(u32{main_task}));
    // Long enough for the stack of level 0, which the fault needs itself.
    run(far_call, 3, {slot | 3, 0, 0, 0});
    print("call with a tss of limit ", Hex{limit}, ": ");
    print_outcome(far_call);
    write("\n");
  }
}

void check_returns() {
  for (const bool interrupt : {false, true}) {
    const char* const code = interrupt ? interrupt_return : far_return;
    for (const unsigned level : {0u, 3u}) {
      for (const unsigned rpl : {0u, 1u, 3u}) {
        for (unsigned high = 0; high < 16; ++high) {
          if ((high & 9) == 0) continue;
          print(interrupt ? "iret" : "lret", " cpl", Hex{level}, " rpl", Hex{rpl}, " to access ", Hex{high}, "x:");
          for (unsigned type = 0; type < 16; ++type) {
            restore_tables();
            segments[slot / 8] = descriptor(0, 0xfffff, static_cast<u8>(high << 4 | type), 0xc0);
            const u32 ss = rpl == 3 ? data3 : rpl == 1 ? data1 : data0;
            const u32 esp = rpl == 3 ? stack3 : rpl == 1 ? stack1 : 0x7ff0;
            run(code, level, {slot | rpl, interrupt ? esp : esp, 2, ss});
            print_short();
            if (outcome.ended_well()) print(Hex{outcome.level()});
          }
          write("\n");
        }
      }
    }
  }
}

void check_return_stacks() {
  struct Case {
    const char* name;
    u32 ss;
    u64 entry;
  };
  const Case cases[] = {
      {"good", slot | 3, descriptor(0, 0xfffff, 0xf3, 0xc0)},
      {"null", 0, 0},
      {"null rpl3", 3, 0},
      {"rpl", slot, descriptor(0, 0xfffff, 0xf3, 0xc0)},
      {"dpl", slot | 3, descriptor(0, 0xfffff, 0x93, 0xc0)},
      {"code", slot | 3, descriptor(0, 0xfffff, 0xfb, 0xc0)},
      {"read-only", slot | 3, descriptor(0, 0xfffff, 0xf1, 0xc0)},
      {"absent", slot | 3, descriptor(0, 0xfffff, 0x73, 0xc0)},
      {"beyond the gdt", 0x203, 0},
  };
  for (const Case& c : cases) {
    for (const char* code : {far_return, interrupt_return}) {
      restore_tables();
      segments[slot / 8] = c.entry;
      run(code, 0, {code3, stack3, 2, c.ss});
      print(code == far_return ? "lret" : "iret", " to a stack, ", c.name, ": ");
      print_outcome(code);
      write("\n");
    }
  }
  struct Shape {
    const char* name;
    const char* code;
    Arguments given;
  };
  const Shape shapes[] = {
      {"lret to level 0", far_return, {code0, 0x1111, 0, 0}},
      {"lret to level 3", far_return, {code3, stack3, 0, data3}},
      {"lret 8 to level 0", far_return_8, {code0, 0x1111, 0, 0}},
      {"lret 8 to level 3", far_return_8, {code3, stack3 - 0x40, 0, data3}},
      {"lret 16 to level 3", far_return_16, {code3, stack3, 0, data3}},
      {"iret to level 0", interrupt_return, {code0, 0x1111, 0x2, 0}},
      {"iret to level 3", interrupt_return, {code3, stack3, 0x2, data3}},
      {"iret to a small stack", interrupt_return, {code3, 0x1234'8000, 0x2, slot | 3}},
  };
  for (const Shape& s : shapes) {
    restore_tables();
    segments[slot / 8] = descriptor(0, 0xffff, 0xf3, 0);
    asm volatile("mov %w0, %%fs; mov %w1, %%gs" : : "r"(u32{data0}), "r"(u32{data3}));
    run(s.code, 0, s.given);
    print(s.name, ": ");
    print_outcome(s.code);
    print(" cs ", Hex{outcome.cs}, " ds ", Hex{outcome.ds & 0xffff}, " es ", Hex{outcome.es & 0xffff}, " fs ",
          Hex{outcome.fs & 0xffff}, " gs ", Hex{outcome.gs & 0xffff});
    if (outcome.level() == 3) print(" esp ", Hex{outcome.rest[0]}, " ss ", Hex{outcome.rest[1]});
    write("\n");
  }
}

/// Flags that IRET and POPF may change, by level and IOPL.
void check_flags() {
  constexpr u32 interesting = 0x3d'7ed5;  // all but TF and VM
  for (const unsigned level : {0u, 3u}) {
    for (const u32 iopl : {0u, 0x3000u}) {
      for (const u32 image : {interesting, 0u, interesting & ~0x4000u}) {
        restore_tables();
        arguments = {};
        const u32 cs = level == 0 ? code0 : code3;
        run(interrupt_return, level, {cs, 0x7ff0, image, 0}, 2 | iopl);
        print("iret with flags ", Hex{image}, " cpl", Hex{level}, " iopl", Hex{iopl >> 12}, ": ");
        print_outcome(interrupt_return);
        print(" ", Hex{outcome.eflags & ~0x10000u}, "\n");
        extern char do_popf[] asm("do_popf");
        run(do_popf, level, {image, 0, 0, 0}, 2 | iopl);
        print("popf with flags ", Hex{image}, " cpl", Hex{level}, " iopl", Hex{iopl >> 12}, ": ");
        print_outcome(do_popf);
        print(" ", Hex{outcome.eflags & ~0x10000u}, "\n");
      }
    }
  }
}

}  // namespace

void check_transfers() {
  check_all_descriptors();
  check_gate_targets();
  check_frames();
  check_inner_stacks();
  check_returns();
  check_return_stacks();
  check_flags();
}

}  // namespace guest

asm(R"(
        .text
        .globl int_40
int_40:  int $0x40
do_popf: push %eax
         popf
         int $0x80
)");
