// Far transfers, IRET and gates in IA-32e mode (Intel SDM vol. 3, 5.8.1.1, 5.8.3.1, 6.14).

#include "guests/conformance_long/machine.h"

extern "C" char t_jump[], t_call[], t_lret[], t_lretq[], t_iretq[], t_iretl[], t_int40[], t_ud[], t_popf[];
asm(R"(
        .text
        .code64
t_jump:  push $0
         mov %ax, 4(%rsp)
         movl $0x6000, (%rsp)
         ljmp *(%rsp)
t_call:  push $0
         mov %ax, 4(%rsp)
         movl $0x6000, (%rsp)
         lcall *(%rsp)
         int $0x80
t_lretq: push %rbx
         push %rcx
         push %rax
         push $0x6000
         lretq
t_lret:  sub $16, %rsp
         movl $0x6000, (%rsp)
         mov %eax, 4(%rsp)
         mov %ecx, 8(%rsp)
         mov %ebx, 12(%rsp)
         lret
t_iretq: push %rbx
         push %rcx
         push %rdx
         push %rax
         push $0x6000
         iretq
t_iretl: sub $24, %rsp
         movl $0x6000, (%rsp)
         mov %eax, 4(%rsp)
         mov %edx, 8(%rsp)
         mov %ecx, 12(%rsp)
         mov %ebx, 16(%rsp)
         iretl
t_int40: int $0x40
         int $0x80
t_ud:    ud2
t_popf:  push %rax
         popfq
         int $0x80
)");

namespace guest {

namespace {

struct Operation {
  const char* name;
  const char* code;
};

void print_landing() {
  print_short();
  if (outcome.ended_well()) print(Hex{outcome.cs & 3});
}

/// To descriptors of every access byte: long code, 32-bit code, and the impossible both.
void check_direct() {
  for (const Operation& o : {Operation{"ljmp", t_jump}, Operation{"lcall", t_call}}) {
    for (const u16 cs : {code0, code3}) {
      for (const u8 flags : {u8{0xa0}, u8{0xc0}, u8{0xe0}}) {
        for (unsigned high = 0; high < 16; ++high) {
          if ((high & 9) == 0) continue;
          print(o.name, " cpl", u32{cs} & 3, " flags ", Hex{flags}, " access ", Hex{high}, "x:");
          for (unsigned type = 0; type < 16; ++type) {
            restore_tables();
            segments[slot / 8] = descriptor(0, 0xfffff, static_cast<u8>(high << 4 | type), flags);
            run(o.code, cs, {slot | (u64{cs} & 3), 0, 0, 0});
            print_landing();
          }
          write("\n");
        }
      }
    }
  }
}

void check_call_gates() {
  for (const Operation& o : {Operation{"ljmp", t_jump}, Operation{"lcall", t_call}}) {
    for (const u16 cs : {code0, code3}) {
      for (const u8 flags : {u8{0xa0}, u8{0xc0}}) {
        print("gate ", o.name, " cpl", u32{cs} & 3, " to flags ", Hex{flags}, ":");
        for (const u8 access : {u8{0x93}, u8{0x9b}, u8{0x9f}, u8{0xfb}, u8{0xff}, u8{0x1b}, u8{0x7b}}) {
          restore_tables();
          segments[slot_more / 8] = descriptor(0, 0xfffff, access, flags);
          const Gate64 g = gate(slot_more, landing, 0xec);
          segments[slot / 8] = g.low;
          segments[slot / 8 + 1] = g.high;
          run(o.code, cs, {slot | (u64{cs} & 3), 0, 0, 0});
          print_landing();
        }
        write("\n");
      }
    }
  }
  struct Case {
    const char* name;
    u64 offset;
    u8 access;
    u64 upper;
  };
  constexpr Case cases[] = {{"not canonical", not_canonical, 0xec, 0},
                            {"absent", landing, 0x6c, 0},
                            {"dpl 0", landing, 0x8c, 0},
                            {"type in the upper half", landing, 0xec, u64{0xc} << 40},
                            {"16-bit gate", landing, 0xe4, 0},
                            {"task gate", landing, 0xe5, 0}};
  for (const Case& c : cases) {
    restore_tables();
    const Gate64 g = gate(code0, c.offset, c.access);
    segments[slot / 8] = g.low;
    segments[slot / 8 + 1] = g.high | c.upper;
    run(t_call, code3, {slot | 3, 0, 0, 0});
    print("call gate, ", c.name, ": ");
    print_outcome(t_call);
    write("\n");
  }
  restore_tables();
  const Gate64 g = gate(code0, landing, 0xec);
  segments[slot / 8] = g.low;
  segments[slot / 8 + 1] = g.high;
  run(t_call, code3, {slot | 3, 0, 0, 0});
  print("call gate frame: cs ", Hex{outcome.cs}, " ss ", Hex{outcome.ss}, " rsp ", Hex{outcome.rsp});
  const u64* const frame = reinterpret_cast<const u64*>(outcome.rsp);
  print(" stack ", Hex{frame[0] - reinterpret_cast<u64>(t_call)}, " ", Hex{frame[1]}, " ", Hex{frame[2]}, " ",
        Hex{frame[3]}, "\n");
  for (const u64 rsp : {not_canonical, u64{0x10}}) {
    restore_tables();
    segments[slot / 8] = g.low;
    segments[slot / 8 + 1] = g.high;
    task_state.rsp[0] = rsp;
    for (unsigned v : {8u, 12u, 14u})
      gates[v] = gate(code0, reinterpret_cast<u64>(exception_entries) + 16 * v, 0x8e, 1);
    run(t_call, code3, {slot | 3, 0, 0, 0});
    print("call gate to a stack at ", Hex{rsp}, ": ");
    print_outcome(t_call);
    write("\n");
  }
}

void check_returns() {
  struct Return {
    const char* name;
    const char* code;
  };
  constexpr Return returns[] = {{"lretq", t_lretq}, {"lret", t_lret}, {"iretq", t_iretq}, {"iret", t_iretl}};
  for (const Return& r : returns) {
    for (const u16 cs : {code0, code3}) {
      for (const u64 rpl : {u64{0}, u64{3}}) {
        for (const u8 flags : {u8{0xa0}, u8{0xc0}, u8{0xe0}}) {
          print(r.name, " cpl", u32{cs} & 3, " rpl", rpl, " flags ", Hex{flags}, ":");
          for (const u8 access :
               {u8{0x93}, u8{0x9b}, u8{0x9f}, u8{0xbb}, u8{0xfb}, u8{0xff}, u8{0x1b}, u8{0x7b}, u8{0x89}}) {
            restore_tables();
            segments[slot / 8] = descriptor(0, 0xfffff, access, flags);
            const bool user = rpl == 3;
            run(r.code, cs, {slot | rpl, user ? stack3 : u64{0x7ff0}, 2, user ? u64{data3} : u64{data0}});
            print_landing();
          }
          write("\n");
        }
      }
    }
  }
  // Stacks.
  struct Case {
    const char* name;
    u64 cs, ss;
    u8 access;
  };
  const Case cases[] = {{"null to level 0", code0, 0, 0},        {"null rpl3 to level 0", code0, 3, 0},
                        {"null to level 3", code3, 0, 0},        {"null rpl3 to level 3", code3, 3, 0},
                        {"null to 32-bit code", code32, 3, 0},   {"good", code3, slot | 3, 0xf3},
                        {"rpl 0 to level 3", code3, slot, 0xf3}, {"dpl 0 to level 3", code3, slot | 3, 0x93},
                        {"read-only", code3, slot | 3, 0xf1},    {"code", code3, slot | 3, 0xfb},
                        {"absent", code3, slot | 3, 0x73},       {"absent at level 0", code0, slot, 0x13},
                        {"dpl 3 at level 0", code0, slot, 0xf3}};
  for (const Return& r : returns) {
    for (const Case& c : cases) {
      restore_tables();
      if (c.access != 0) segments[slot / 8] = descriptor(0, 0xfffff, c.access, 0xc0);
      run(r.code, code0, {c.cs, 0x7ff0, 2, c.ss});
      print(r.name, " to a stack, ", c.name, ": ");
      print_outcome(r.code);
      if (outcome.ended_well()) print(" cs ", Hex{outcome.cs}, " ss ", Hex{outcome.ss}, " rsp ", Hex{outcome.rsp});
      write("\n");
    }
  }
}

void check_flags() {
  for (const u16 cs : {code0, code3}) {
    for (const u64 iopl : {u64{0}, u64{0x3000}}) {
      for (const u64 image : {u64{0x3d'7ed5}, u64{0}, u64{0x3f'3ed5}}) {
        restore_tables();
        run(t_iretq, cs, {cs, stack3, image, cs == code0 ? u64{data0} : u64{data3}}, 2 | iopl);
        print("iretq with flags ", Hex{image}, " cpl", u32{cs} & 3, " iopl", iopl >> 12, ": ");
        print_outcome(t_iretq);
        print(" ", Hex{outcome.rflags & ~u64{0x10000}}, "\n");
        run(t_popf, cs, {image, 0, 0, 0}, 2 | iopl);
        print("popfq with flags ", Hex{image}, " cpl", u32{cs} & 3, " iopl", iopl >> 12, ": ");
        print_outcome(t_popf);
        print(" ", Hex{outcome.rflags & ~u64{0x10000}}, "\n");
      }
    }
  }
  restore_tables();
  run(t_iretq, code0, {code0, stack3, 2, data0}, 0x4002);
  write("iretq with nt: ");
  print_outcome(t_iretq);
  write("\n");
}

}  // namespace

void check_long_transfers() {
  check_direct();
  check_call_gates();
  check_returns();
  check_flags();
}

void check_long_events() {
  for (const bool software : {true, false}) {
    const char* const code = software ? t_int40 : t_ud;
    const unsigned vector = software ? 0x40 : 6;
    for (const u16 cs : {code0, code3, code32}) {
      for (unsigned high = 0; high < 16; ++high) {
        print(software ? "int" : "#UD", " from ", Hex{cs}, " through ", Hex{high}, "x:");
        for (unsigned type = 0; type < 16; ++type) {
          restore_tables();
          gates[vector] = gate(code0, landing, static_cast<u8>(high << 4 | type));
          run(code, cs);
          outcome.ended_well() ? print(" .", Hex{outcome.cs & 3})
                               : print(" ", Hex{outcome.vector}, ":", Hex{outcome.error});
          restore_gate(vector);
        }
        write("\n");
      }
      for (const u8 flags : {u8{0xa0}, u8{0xc0}, u8{0xe0}}) {
        print(software ? "int" : "#UD", " from ", Hex{cs}, " to flags ", Hex{flags}, ":");
        for (const u8 access :
             {u8{0x93}, u8{0x9b}, u8{0x9f}, u8{0xbb}, u8{0xfb}, u8{0xff}, u8{0x1b}, u8{0x7b}, u8{0x89}}) {
          restore_tables();
          segments[slot / 8] = descriptor(0, 0xfffff, access, flags);
          gates[vector] = gate(slot, landing, 0xee);
          task_state.rsp[1] = other_stack;
          run(code, cs);
          outcome.ended_well() ? print(" .", Hex{outcome.cs & 3})
                               : print(" ", Hex{outcome.vector}, ":", Hex{outcome.error});
          restore_gate(vector);
        }
        write("\n");
      }
    }
  }
  // Stacks of handlers.
  struct Case {
    const char* name;
    unsigned ist;
    u64 rsp0, ist1;
  };
  constexpr Case cases[] = {{"rsp0", 0, inner_stack, other_stack},
                            {"rsp0 misaligned", 0, inner_stack - 3, other_stack},
                            {"ist1", 1, inner_stack, other_stack},
                            {"ist1 misaligned", 1, inner_stack, other_stack - 8},
                            {"rsp0 not canonical", 0, not_canonical, other_stack},
                            {"ist1 not canonical", 1, inner_stack, not_canonical}};
  for (const Case& c : cases) {
    for (const u16 cs : {code0, code3, code32}) {
      restore_tables();
      task_state.rsp[0] = c.rsp0;
      task_state.ist[0] = c.ist1;
      gates[0x40] = gate(code0, reinterpret_cast<u64>(call_entry), 0xee, c.ist);
      for (unsigned v : {8u, 12u, 13u})
        gates[v] = gate(code0, reinterpret_cast<u64>(exception_entries) + 16 * v, 0x8e, 2);
      run(t_int40, cs, {}, 0x202);
      print("handler's stack, ", c.name, " from ", Hex{cs}, ": ");
      print_outcome(t_int40);
      print(" handler rsp ", Hex{outcome.handler_rsp}, " ss ", Hex{outcome.handler_ss}, "; frame cs ", Hex{outcome.cs},
            " ss ", Hex{outcome.ss}, " rsp ", Hex{outcome.rsp}, " flags ", Hex{outcome.rflags}, "\n");
    }
  }
  struct Odd {
    const char* name;
    Gate64 entry;
  };
  const Odd odd[] = {{"null selector", gate(0, landing, 0xee)},
                     {"beyond the gdt", gate(0x200, landing, 0xee)},
                     {"in the ldt", gate(4, landing, 0xee)},
                     {"not canonical", gate(code0, not_canonical, 0xee)}};
  for (const Odd& o : odd) {
    for (const bool software : {true, false}) {
      const char* const code = software ? t_int40 : t_ud;
      restore_tables();
      gates[software ? 0x40 : 6] = o.entry;
      run(code, code3);
      print(software ? "int, gate, " : "#UD, gate, ", o.name, ": ");
      print_outcome(code);
      write("\n");
    }
  }
}

}  // namespace guest
