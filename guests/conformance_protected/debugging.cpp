// Debug registers and single steps in 32-bit protected mode (Intel SDM vol. 3, ch. 17).

#include "guests/conformance_protected/machine.h"

extern "C" char s_nop[], s_rep[], s_popf[], s_mov_ss[], s_int[], s_into[], s_store[], s_load[], s_out[], s_in_string[],
    s_fetch[], s_fetch_here[], s_mov_dr[], s_iret[], s_rep_watched[], s_push_watched[], s_xchg[], s_dr4[],
    s_mov_ss_watched[], s_call_far[], s_fault[], s_exec_after_ss[], s_exec_after_ss_here[];
asm(R"(
        .text
s_nop:    nop
          nop
          int $0x80
s_rep:    mov $0xa000, %edi
          mov $3, %ecx
          rep stosb
          nop
          int $0x80
s_popf:   push $0x102
          popf
          nop
          nop
          int $0x80
s_iret:   push $0x102
          push %cs
          push $1f
          iret
1:        nop
          nop
          int $0x80
s_mov_ss: push $0x102
          popf
          mov %ss, %eax
          nop
          int $0x80
s_exec_after_ss:
          mov %ss, %eax
          mov %eax, %ss
s_exec_after_ss_here:
          nop
          int $0x80
s_int:    int $0x40
          int $0x80
s_into:   into
          nop
          int $0x80
s_store:  movl $1, (%ebx)
          nop
          int $0x80
s_load:   movl (%ebx), %eax
          nop
          int $0x80
s_out:    mov $0x80, %edx
          outb %al, %dx
          nop
          int $0x80
s_fetch:  nop
s_fetch_here:
          inc %edx
          nop
          int $0x80
s_mov_dr: mov %dr0, %eax
          nop
          int $0x80
s_dr4:    mov %dr4, %eax
          int $0x80
s_rep_watched:
          mov $0xa000, %edi
          mov $8, %ecx
          rep stosb
          nop
          int $0x80
s_push_watched:
          push %eax
          nop
          int $0x80
s_xchg:   xchg %eax, (%ebx)
          nop
          int $0x80
s_mov_ss_watched:
          movw (%ebx), %ss
          nop
          nop
          int $0x80
s_fault:  ud2
)");

namespace guest {

namespace {

u32 read_dr6() {
  u32 value;
  asm volatile("mov %%dr6, %0" : "=r"(value));
  return value;
}

void set_debug(u32 dr7, u32 address) {
  asm volatile("mov %0, %%dr6; mov %1, %%dr0; mov %2, %%dr7" : : "r"(0xffff'0ff0), "r"(address), "r"(dr7));
}

void print_debug(const char* name, const char* code) {
  const u32 dr6 = read_dr6();
  set_debug(0x400, 0);
  print(name, ": ");
  print_outcome(code);
  print(" dr6 ", Hex{dr6 & 0xe00f}, " rf ", Hex{outcome.eflags >> 16 & 1}, " tf ", Hex{outcome.eflags >> 8 & 1}, "\n");
}

void check_steps() {
  struct Case {
    const char* name;
    const char* code;
    u32 flags;
  };
  const Case cases[] = {{"step nop", s_nop, 0x102},     {"step rep stosb", s_rep, 2}, {"step after popf", s_popf, 2},
                        {"step after iret", s_iret, 2}, {"step into", s_into, 0x102}, {"step mov to ax", s_mov_ss, 2},
                        {"step fault", s_fault, 0x102}};
  for (const Case& c : cases) {
    for (const unsigned level : {0u, 3u}) {
      restore_tables();
      set_debug(0x400, 0);
      // At level 0 the way in is a jump, so the first step is that of the jump itself.
      if (level == 0 && c.flags != 2) continue;
      run(c.code, level, {}, c.flags);
      print_debug(c.name, c.code);
    }
  }
  restore_tables();
  gates[0x40] = gate(code0, landing, 0xee);
  run(s_int, 3, {}, 0x102);
  print_debug("step int", s_int);
}

void check_breakpoints() {
  struct Case {
    const char* name;
    const char* code;
    u32 dr7, address;
  };
  const Case cases[] = {
      {"write 1 hit", s_store, 0x0001'0402, scratch},
      {"write 1 missed", s_store, 0x0001'0402, scratch + 4},
      {"write 4 hit by its end", s_store, 0x000d'0402, scratch + 4},
      {"write 4 hit", s_store, 0x000d'0402, scratch},
      {"write 2 misaligned address", s_store, 0x0005'0402, scratch + 3},
      {"write not hit by a load", s_load, 0x000d'0402, scratch},
      {"access hit by a load", s_load, 0x000f'0402, scratch},
      {"access hit by a store", s_store, 0x000f'0402, scratch},
      {"global off, local on", s_store, 0x000d'0401, scratch},
      {"disabled", s_store, 0x000d'0400, scratch},
      {"execute", s_fetch, 0x0000'0402, address_of(s_fetch_here)},
      {"execute missed", s_fetch, 0x0000'0402, address_of(s_fetch_here) + 1},
      {"port, de off", s_out, 0x0002'0402, 0x80},
      {"rep stosb", s_rep_watched, 0x0001'0402, scratch + 2},
      {"push", s_push_watched, 0x000d'0402, stack3 - 4},
      {"xchg", s_xchg, 0x000f'0402, scratch},
  };
  for (const Case& c : cases) {
    restore_tables();
    set_debug(c.dr7, c.address);
    run(c.code, 3, {0, 0, 0, c.name[0] == 'w' && c.name[8] == 'h' && c.name[12] == 'b' ? scratch + 2 : scratch},
        0x3002);
    print("breakpoint, ");
    print_debug(c.name, c.code);
    print("  edi ", Hex{outcome.edi - scratch < 16 ? outcome.edi - scratch : 0}, "\n");
  }
  // I/O breakpoints need CR4.DE, which also makes DR4 undefined.
  asm volatile("mov %%cr4, %%eax; or $8, %%eax; mov %%eax, %%cr4" : : : "eax");
  for (const u32 port : {0x80u, 0x81u}) {
    restore_tables();
    set_debug(0x0002'0402, port);
    run(s_out, 3, {}, 0x3002);
    print("breakpoint, port ", Hex{port});
    print_debug("", s_out);
  }
  restore_tables();
  run(s_dr4, 0);
  print_debug("dr4 with de", s_dr4);
  asm volatile("mov %%cr4, %%eax; and $~8, %%eax; mov %%eax, %%cr4" : : : "eax");
  run(s_dr4, 0);
  print_debug("dr4 without de", s_dr4);
}

void check_shadows() {
  restore_tables();
  set_debug(0x0000'0402, address_of(s_exec_after_ss_here));
  run(s_exec_after_ss, 3);
  print_debug("execution breakpoint behind mov ss", s_exec_after_ss);
  *reinterpret_cast<volatile u16*>(scratch) = data3;
  restore_tables();
  set_debug(0x0007'0402, scratch);
  run(s_mov_ss_watched, 3, {0, 0, 0, scratch});
  print_debug("mov ss from a watched place", s_mov_ss_watched);
  restore_tables();
  set_debug(0x2400, 0);
  run(s_mov_dr, 0);
  print_debug("general detect", s_mov_dr);
  // RF in the image that IRET loads lets the breakpoint pass once.
  restore_tables();
  set_debug(0x0000'0402, address_of(s_fetch));
  run(s_fetch, 3, {}, 0x1'0002);
  print_debug("execution breakpoint with rf", s_fetch);
  restore_tables();
  set_debug(0x0000'0402, address_of(s_fetch));
  run(s_fetch, 3, {}, 2);
  print_debug("execution breakpoint without rf", s_fetch);
}

}  // namespace

void check_debugging() {
  check_steps();
  check_breakpoints();
  check_shadows();
}

}  // namespace guest
