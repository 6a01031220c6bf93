// Interrupts and exceptions through every kind of gate, their frames and error codes, double faults, and the instructions
// that raise each vector (Intel SDM vol. 3, ch. 6).

#include "guests/conformance_protected/machine.h"

extern "C" char int_40[], do_ud2[], do_int3[], do_into[], do_int1[], do_div[], do_bound[], do_nm[], do_wait[], do_mf[],
    do_ac[], do_cli[], do_sti[], do_hlt[], do_in[], do_out[], do_insb[], do_cr[], do_dr[], do_lgdt[], do_clts[],
    do_lmsw[], do_smsw[], do_rdmsr[], do_invlpg[], do_wbinvd[], do_rdtsc[], do_lock[], do_lock_reg[], do_long[],
    do_salc[], do_sysenter[], do_sysexit[], do_syscall[], do_rsm[], do_monitor[], do_mwait[], do_int_ff[], do_ud1[],
    do_mov_cs[], do_mov_cr1[], do_les_reg[], do_pop_cs[];
asm(R"(
        .text
do_ud2:      ud2
do_ud1:      .byte 0x0f, 0xb9, 0xc0
do_int3:     int3
             int $0x80
do_into:     mov $0x7f, %al
             add $1, %al
             into
             int $0x80
do_int1:     .byte 0xf1
             int $0x80
do_div:      xor %ecx, %ecx
             div %ecx
do_bound:    push $5
             push $2
             mov $1, %eax
             bound %eax, (%esp)
do_nm:       fnop
             int $0x80
do_wait:     fwait
             int $0x80
do_mf:       fninit
             push $0x37b
             fldcw (%esp)
             fld1
             fldz
             fdivrp
             fwait
             int $0x80
do_ac:       mov 1(%esp), %eax
             int $0x80
do_cli:      cli
             int $0x80
do_sti:      sti
             cli
             int $0x80
do_hlt:      hlt
             int $0x80
do_in:       in %dx, %al
             int $0x80
do_out:      mov $0x80, %edx
             out %al, %dx
             int $0x80
do_insb:     mov $0x21, %edx
             mov $0xa000, %edi
             insb
             int $0x80
do_cr:       mov %cr0, %eax
             int $0x80
do_mov_cr1:  .byte 0x0f, 0x20, 0xc8
             int $0x80
do_dr:       mov %dr7, %eax
             int $0x80
do_lgdt:     sub $8, %esp
             sgdt (%esp)
             lgdt (%esp)
             int $0x80
do_clts:     clts
             int $0x80
do_lmsw:     smsw %ax
             lmsw %ax
             int $0x80
do_smsw:     smsw %eax
             int $0x80
do_rdmsr:    mov $0x10, %ecx
             rdmsr
             int $0x80
do_invlpg:   invlpg (%esp)
             int $0x80
do_wbinvd:   wbinvd
             int $0x80
do_rdtsc:    rdtsc
             int $0x80
do_lock:     lock incl (%esp)
             int $0x80
do_lock_reg: .byte 0xf0, 0x01, 0xc0
             int $0x80
do_long:     .fill 14, 1, 0x66
             .byte 0x01, 0xc0
             int $0x80
do_salc:     stc
             .byte 0xd6
             int $0x80
do_sysenter: sysenter
do_sysexit:  sysexit
do_syscall:  syscall
do_rsm:      rsm
do_monitor:  monitor
do_mwait:    mwait
do_int_ff:   int $0xff
do_mov_cs:   .byte 0x8e, 0xc8
do_les_reg:  .byte 0xc4, 0xc0, 0xc0, 0xc0
do_pop_cs:   .byte 0x0f, 0xff, 0xc0
)");

namespace guest {

namespace {

struct Instruction {
  const char* name;
  const char* code;
};
constexpr Instruction instructions[] = {
    {"ud2", do_ud2},
    {"ud1", do_ud1},
    {"int3", do_int3},
    {"into", do_into},
    {"int1", do_int1},
    {"div", do_div},
    {"bound", do_bound},
    {"fnop", do_nm},
    {"fwait", do_wait},
    {"mf", do_mf},
    {"ac", do_ac},
    {"cli", do_cli},
    {"sti", do_sti},
    {"in", do_in},
    {"out", do_out},
    {"insb", do_insb},
    {"mov cr0", do_cr},
    {"mov cr1", do_mov_cr1},
    {"mov dr7", do_dr},
    {"lgdt", do_lgdt},
    {"clts", do_clts},
    {"lmsw", do_lmsw},
    {"smsw", do_smsw},
    {"rdmsr", do_rdmsr},
    {"invlpg", do_invlpg},
    {"wbinvd", do_wbinvd},
    {"rdtsc", do_rdtsc},
    {"lock inc", do_lock},
    {"lock add reg", do_lock_reg},
    {"sixteen bytes", do_long},
    {"salc", do_salc},
    {"rsm", do_rsm},
    {"int ff", do_int_ff},
    {"mov cs", do_mov_cs},
    {"ud0", do_pop_cs},
};

void print_frame(const void* code) {
  print_outcome(code);
  print(" flags ", Hex{outcome.eflags & ~0x8d5u}, "\n");
}

/// Each instruction that has something to say, at both ends of privilege.
void check_instructions() {
  for (const Instruction& i : instructions) {
    for (const unsigned level : {0u, 3u}) {
      restore_tables();
      run(i.code, level, {0, 0, 0x21, 0});
      print(i.name, " cpl", Hex{level}, ": ");
      print_frame(i.code);
    }
  }
  for (const u32 bits : {0u, 2u, 4u, 8u, 0xau, 0xcu}) {
    for (const Instruction& i : {instructions[7], instructions[8]}) {
      restore_tables();
      u32 cr0;
      asm volatile("mov %%cr0, %0" : "=r"(cr0));
      asm volatile("mov %0, %%cr0" : : "r"((cr0 & ~0xeu) | bits));
      run(i.code, 0);
      asm volatile("mov %0, %%cr0" : : "r"(cr0));
      print(i.name, " cr0 ", Hex{bits}, ": ");
      print_outcome(i.code);
      write("\n");
    }
  }
}

void check_alignment() {
  u32 cr0;
  asm volatile("mov %%cr0, %0" : "=r"(cr0));
  for (const unsigned level : {0u, 3u}) {
    for (const bool mask : {false, true}) {
      for (const u32 ac : {0u, 0x40000u}) {
        restore_tables();
        asm volatile("mov %0, %%cr0" : : "r"(mask ? cr0 | 0x40000 : cr0 & ~0x40000u));
        run(do_ac, level, {}, 2 | ac);
        print("alignment cpl", Hex{level}, mask ? " am" : "", ac != 0 ? " ac: " : ": ");
        print_outcome(do_ac);
        write("\n");
      }
    }
  }
  asm volatile("mov %0, %%cr0" : : "r"(cr0));
}

/// INT 40H through a gate of every access byte, and a #UD through it.
void check_all_gates() {
  for (const bool software : {true, false}) {
    const char* const code = software ? int_40 : do_ud2;
    const unsigned vector = software ? 0x40 : 6;
    for (const unsigned level : {0u, 3u}) {
      for (unsigned high = 0; high < 16; ++high) {
        print(software ? "int" : "#UD", " cpl", Hex{level}, " through ", Hex{high}, "x:");
        for (unsigned type = 0; type < 16; ++type) {
          restore_tables();
          const u8 access = static_cast<u8>(high << 4 | type);
          const u16 target = (access & 0x1f) == 5 ? other_task : code0;
          gates[vector] = gate(target, landing, access);
          run(code, level);
          if (outcome.ended_well())
            print(" .", Hex{outcome.level()}, outcome.tr == main_task ? "" : "T");
          else
            print(" ", Hex{outcome.vector}, ":", Hex{outcome.error});
          restore_gate(vector);
        }
        write("\n");
      }
    }
  }
}

/// Gates to every kind of code segment.
void check_targets() {
  for (const bool software : {true, false}) {
    const char* const code = software ? int_40 : do_ud2;
    const unsigned vector = software ? 0x40 : 6;
    for (const u8 type : {u8{0xee}, u8{0xef}, u8{0xe6}, u8{0xe7}}) {
      for (const unsigned level : {0u, 1u, 3u}) {
        print(software ? "int" : "#UD", " cpl", Hex{level}, " gate ", Hex{type}, " to:");
        for (unsigned kind = 0; kind < 24; ++kind) {
          restore_tables();
          // Data, code, conforming code by DPL 0, 1, 3; then the same absent.
          static constexpr u8 types[] = {0x93, 0x9b, 0x9f, 0x89};
          static constexpr u8 dpls[] = {0, 0x20, 0x60};
          u8 access = static_cast<u8>(types[kind & 3] | dpls[kind / 4 % 3]);
          if (kind >= 12) access &= 0x7f;
          segments[slot / 8] = descriptor(0, 0xfffff, access, 0xc0);
          gates[vector] = gate(slot, landing, type);
          run(code, level);
          if (outcome.ended_well())
            print(" .", Hex{outcome.level()});
          else
            print(" ", Hex{outcome.vector}, ":", Hex{outcome.error});
          restore_gate(vector);
        }
        write("\n");
      }
    }
  }
  struct Case {
    const char* name;
    u64 entry;
  };
  const Case cases[] = {{"null selector", gate(0, landing, 0xee)},
                        {"selector beyond the gdt", gate(0x208, landing, 0xee)},
                        {"selector in the ldt", gate(4, landing, 0xee)},
                        {"offset beyond the limit", gate(code16, 0x1'0000, 0xee)},
                        {"task gate to data", gate(data0, 0, 0xe5)},
                        {"task gate, null", gate(0, 0, 0xe5)},
                        {"task gate to the running task", gate(main_task, 0, 0xe5)},
                        {"task gate to the ldt", gate(0xc, 0, 0xe5)},
                        {"task gate beyond the gdt", gate(0x208, 0, 0xe5)}};
  for (const Case& c : cases) {
    for (const bool software : {true, false}) {
      const char* const code = software ? int_40 : do_ud2;
      const unsigned vector = software ? 0x40 : 6;
      restore_tables();
      gates[vector] = c.entry;
      run(code, 3);
      restore_gate(vector);
      print(software ? "int, " : "#UD, ", c.name, ": ");
      print_outcome(code);
      write("\n");
    }
  }
}

void print_stack(unsigned words) {
  for (unsigned i = 0; i < words; ++i) print(" ", Hex{outcome.rest[i]});
  write("\n");
}

void check_frames() {
  for (const u8 type : {u8{0xee}, u8{0xef}, u8{0xe6}, u8{0xe7}}) {
    for (const unsigned level : {0u, 3u}) {
      restore_tables();
      // #NP pushes an error code; the landing's own frame lies above what the first gate pushed.
      gates[0x40] = gate(code0, landing, type);
      gates[11] = gate(code0, landing, type);
      run(int_40, level, {}, 0x3202);
      print("frame of int through ", Hex{type}, " cpl", Hex{level}, ": flags ", Hex{outcome.eflags}, " stack");
      print_stack((type & 8) != 0 ? (level == 0 ? 3 : 5) : (level == 0 ? 2 : 3));
      extern char load_absent[] asm("load_absent");
      segments[slot / 8] = descriptor(0, 0xfffff, 0x73, 0xc0);
      run(load_absent, level, {slot | 3, 0, 0, 0}, 0x3202);
      print("frame of #NP through ", Hex{type}, " cpl", Hex{level}, ": flags ", Hex{outcome.eflags}, " stack");
      print_stack((type & 8) != 0 ? (level == 0 ? 4 : 6) : (level == 0 ? 2 : 3));
      restore_gate(11);
    }
  }
}

/// What a second fault makes of the first.
void check_double_faults() {
  struct Case {
    const char* name;
    const char* code;
    unsigned vector;
  };
  constexpr Case cases[] = {{"#UD", do_ud2, 6}, {"#DE", do_div, 0}, {"#GP", do_int_ff, 13}, {"#BR", do_bound, 5}};
  struct Break {
    const char* name;
    u64 entry;
  };
  const Break breaks[] = {{"absent gate", gate(code0, landing, 0x6e)},
                          {"no gate", 0},
                          {"absent code", gate(slot, landing, 0xee)},
                          {"null code", gate(0, landing, 0xee)}};
  for (const Case& c : cases) {
    for (const Break& b : breaks) {
      restore_tables();
      segments[slot / 8] = descriptor(0, 0xfffff, 0x1b, 0xc0);
      gates[c.vector] = b.entry;
      run(c.code, 3);
      restore_gate(c.vector);
      print(c.name, " with ", b.name, ": ");
      print_outcome(c.code);
      write("\n");
    }
  }
}

/// The I/O permission map (SDM vol. 1, 19.5.2).
void check_io_permission() {
  struct Case {
    const char* name;
    u16 map, limit;
    u8 bits;
  };
  constexpr Case cases[] = {{"allowed", 0x88, 0x2088, 0},
                            {"refused", 0x88, 0x2088, 2},
                            {"other port refused", 0x88, 0x2088, 4},
                            {"map beyond the limit", 0x88, 0x87, 0},
                            {"one byte short", 0x88, 0x8c, 0},
                            {"just long enough", 0x88, 0x8d, 0},
                            {"tss without map", 0x88, 0x60, 0}};
  for (const Case& c : cases) {
    restore_tables();
    main_state.io_map = c.map;
    main_state.permission[4] = c.bits;
    segments[main_task / 8] = descriptor(address_of(&main_state), c.limit, 0x89, 0);
    asm volatile("ltr %w0" : : "r"(u32{main_task}));
    run(do_in, 3, {0, 0, 0x21, 0});
    print("port map, ", c.name, ": ");
    print_outcome(do_in);
    write("\n");
  }
}

}  // namespace

void check_events() {
  check_instructions();
  check_alignment();
  check_all_gates();
  check_targets();
  check_frames();
  check_double_faults();
  check_io_permission();
}

}  // namespace guest

asm(R"(
        .text
             .globl load_absent
load_absent: mov %ax, %ds
             int $0x80
)");
