// Virtual-8086 mode: the sensitive instructions by IOPL and CR4.VME, the redirection bitmap, virtual interrupts in
// protected mode (Intel SDM vol. 3, ch. 20).

#include "guests/conformance_protected/machine.h"

extern "C" char v_pushf[], v_popf[], v_cli[], v_sti[], v_int[], v_int3[], v_into[], v_int1[], v_iret[], v_in[], v_out[],
    v_hlt[], v_mov_cr[], v_lock[], v_wrap[], v_pushfl[], v_lmsw[], v_smsw[], v_sldt[], v_lgdt[], v_arpl[], v_popfl[],
    v_iretl[], v_segment[], v_jump[], v_limit[], v_end[], v_start[], p_cli[], p_sti[];
// Each program ends in UD2, which tells where it came to.
asm(R"(
        .text
        .code16
v_start:
v_pushf:  pushf
          pop %ax
          ud2
v_pushfl: pushfl
          popl %eax
          ud2
v_popf:   push %ax
          popf
          ud2
v_popfl:  pushl %eax
          popfl
          ud2
v_cli:    cli
          ud2
v_sti:    sti
          ud2
v_int:    int $0x21
          ud2
v_int3:   int3
          ud2
v_into:   mov $0x7f, %al
          add $1, %al
          into
          ud2
v_int1:   .byte 0xf1
          ud2
v_iret:   push %ax
          push %cs
          push $0x5ff
          iret
v_iretl:  pushl %eax
          pushl $0x500
          pushl $0x5ff
          iretl
v_in:     in %dx, %al
          ud2
v_out:    mov $0x80, %dx
          out %al, %dx
          ud2
v_hlt:    hlt
v_mov_cr: mov %cr0, %eax
v_lock:   .byte 0xf0, 0x90
v_wrap:   mov 0xffff, %ax
          ud2
v_limit:  movl $0x10000, %ebx
          .byte 0x67
          mov (%ebx), %al
          ud2
v_lmsw:   lmsw %ax
v_smsw:   smsw %ax
          ud2
v_sldt:   sldt %ax
v_lgdt:   lgdt 0
v_arpl:   arpl %ax, %ax
v_segment:mov $0x1234, %bx
          mov %bx, %fs
          mov %fs, %cx
          ud2
v_jump:   ljmp $0x4ff, $0x60f
v_end:
        .code32
p_cli:    cli
          int $0x80
p_sti:    sti
          int $0x80
)");

namespace guest {

namespace {

constexpr u32 program = 0x5000;           ///< segment 500H
constexpr u32 iret_target = 0x55ff;       ///< 500H:5FFH
constexpr u32 interrupt_target = 0x5680;  ///< 500H:680H

struct Program {
  const char* name;
  const char* code;
};
constexpr Program programs[] = {
    {"pushf", v_pushf},
    {"pushfd", v_pushfl},
    {"popf", v_popf},
    {"popfd", v_popfl},
    {"cli", v_cli},
    {"sti", v_sti},
    {"int 21", v_int},
    {"int3", v_int3},
    {"into", v_into},
    {"int1", v_int1},
    {"iret", v_iret},
    {"iretd", v_iretl},
    {"in", v_in},
    {"out", v_out},
    {"hlt", v_hlt},
    {"mov cr0", v_mov_cr},
    {"lock nop", v_lock},
    {"word at ffff", v_wrap},
    {"beyond 64 KiB", v_limit},
    {"lmsw", v_lmsw},
    {"smsw", v_smsw},
    {"sldt", v_sldt},
    {"lgdt", v_lgdt},
    {"arpl", v_arpl},
    {"mov fs", v_segment},
    {"jmp far", v_jump},
};

void set_vme(u32 bits) {
  asm volatile("mov %%cr4, %%eax; and $~3, %%eax; or %0, %%eax; mov %%eax, %%cr4" : : "r"(bits) : "eax");
}

void print_program(const Program& p) {
  print("#", Hex{outcome.vector}, "(", Hex{outcome.error}, ") at ", Hex{outcome.cs & 0xffff}, ":");
  const u32 start = address_of(p.code) - address_of(v_start);
  const u32 distance = outcome.eip - start;
  if (distance < 0x20)
    print("+", Hex{distance});
  else
    print(Hex{outcome.eip});
  print(" flags ", Hex{outcome.eflags & ~0x108d5u});
}

void prepare() {
  restore_tables();
  u8* const to = reinterpret_cast<u8*>(program);
  for (u32 i = 0; i < static_cast<u32>(v_end - v_start); ++i) to[i] = static_cast<u8>(v_start[i]);
  *reinterpret_cast<volatile u16*>(iret_target) = 0x0b0f;
  *reinterpret_cast<volatile u16*>(interrupt_target) = 0x0b0f;
  u32* const vectors = reinterpret_cast<u32*>(0);
  asm volatile("" : "+m"(*to));
  for (volatile u32* v = vectors + 1; v < vectors + 0x40; ++v) *v = 0x0500'0680;
  main_state.permission[4] = 0;
}

void run_program(const Program& p, u32 eax, u32 flags) {
  arguments = {eax, 0, 0x21, 0};
  run_8086(0x500, static_cast<u16>(p.code - v_start), flags);
}

void check_programs() {
  for (const u32 vme : {0u, 1u}) {
    for (const u32 iopl : {0u, 0x3000u}) {
      for (const Program& p : programs) {
        for (const u32 eax : {0x2u, 0x7202u}) {
          const bool uses_eax = p.code == v_popf || p.code == v_popfl || p.code == v_iret || p.code == v_iretl;
          if (eax != 2 && !uses_eax) continue;
          prepare();
          set_vme(vme);
          run_program(p, eax, 0x202 | iopl);
          set_vme(0);
          print("v86 ", p.name, " vme", Hex{vme}, " iopl", Hex{iopl >> 12});
          if (uses_eax) print(" image ", Hex{eax});
          write(": ");
          print_program(p);
          if (p.code == v_pushf || p.code == v_smsw) print(" ax ", Hex{outcome.eax & 0x7fff});
          write("\n");
        }
      }
    }
  }
}

/// INT 21H by the redirection bitmap; what the program's own handler finds on its stack.
void check_redirection() {
  const Program& int_21 = programs[6];
  for (const u32 vme : {0u, 1u}) {
    for (const u32 iopl : {0u, 0x3000u}) {
      for (const bool redirected : {false, true}) {
        for (const u32 vif : {0u, 0x8'0000u}) {
          prepare();
          main_state.redirection[4] = redirected ? 2 : 0;
          gates[0x21] = gate(code0, landing, 0xee);
          set_vme(vme);
          run_program(int_21, 0, 0x202 | iopl | vif);
          set_vme(0);
          print("v86 int 21 vme", Hex{vme}, " iopl", Hex{iopl >> 12},
                redirected ? " to the monitor" : " to the program", vif != 0 ? " vif: " : ": ");
          print_program(int_21);
          if (outcome.vector == 6) {
            const u16* const stack = reinterpret_cast<const u16*>(outcome.rest[0] & 0xffff);
            print(" stack ", Hex{stack[0]}, " ", Hex{stack[1]}, " ", Hex{stack[2]});
          }
          write("\n");
        }
      }
    }
  }
}

/// STI, POPF and IRET with a virtual interrupt pending.
void check_pending() {
  for (const Program& p : {programs[2], programs[5], programs[10]}) {
    for (const u32 eax : {0x2u, 0x202u, 0x102u}) {
      prepare();
      set_vme(1);
      run_program(p, eax, 0x10'0202);
      set_vme(0);
      print("v86 ", p.name, " image ", Hex{eax}, " with vip: ");
      print_program(p);
      write("\n");
    }
  }
  for (const u32 pvi : {0u, 2u}) {
    for (const char* code : {p_cli, p_sti}) {
      for (const u32 flags : {0x202u, 0x8'0202u, 0x10'0202u}) {
        restore_tables();
        set_vme(pvi);
        run(code, 3, {}, flags);
        set_vme(0);
        print(code == p_cli ? "cli" : "sti", " cpl3 pvi", Hex{pvi}, " flags ", Hex{flags}, ": ");
        print_outcome(code);
        print(" ", Hex{outcome.eflags & 0x18'0200}, "\n");
      }
    }
  }
}

/// Into and out of the mode: gates of every kind, and a task.
void check_entries() {
  const Program& int3 = programs[7];
  for (const u8 type : {u8{0xee}, u8{0xef}, u8{0xe6}, u8{0x8e}}) {
    prepare();
    gates[3] = gate(code0, landing, type);
    run_program(int3, 0, 0x3202);
    print("v86 int3 through ", Hex{type}, ": ");
    print_program(int3);
    print(" ds ", Hex{outcome.ds & 0xffff}, " stack");
    for (unsigned i = 0; i < ((type & 8) != 0 ? 9u : 4u); ++i) print(" ", Hex{outcome.rest[i]});
    write("\n");
    restore_gate(3);
  }
  struct Target {
    const char* name;
    u8 access;
  };
  for (const Target& t :
       {Target{"conforming code", 0x9f}, Target{"code of level 1", 0xbb}, Target{"code of level 3", 0xfb}}) {
    prepare();
    segments[slot / 8] = descriptor(0, 0xfffff, t.access, 0xc0);
    gates[3] = gate(slot, landing, 0xee);
    run_program(int3, 0, 0x3202);
    print("v86 int3 to ", t.name, ": ");
    print_program(int3);
    write("\n");
    restore_gate(3);
  }
  prepare();
  other_state.cs = 0x500;
  other_state.eip = static_cast<u32>(v_segment - v_start);
  other_state.eflags = 0x20002;
  other_state.ss = other_state.ds = other_state.es = other_state.fs = other_state.gs = 0x777;
  extern char task_jump[] asm("task_jump");
  run(task_jump, 0, {other_task, 0, 0, 0});
  write("v86 task: ");
  print_program(programs[24]);
  print(" cx ", Hex{outcome.ecx & 0xffff}, " tr ", Hex{outcome.tr}, "\n");
}

}  // namespace

void check_virtual_8086() {
  check_programs();
  check_redirection();
  check_pending();
  check_entries();
  restore_tables();
}

}  // namespace guest
