// Loading segment registers, asking about descriptors, and accesses within and beyond limits (Intel SDM vol. 3, ch. 3 and 5).

#include "guests/conformance_protected/machine.h"

extern "C" char load_ds[], load_ss[], load_fs[], pop_es[], load_lds[], do_lldt[], do_ltr[], do_lar[], do_lsl[],
    do_verr[], do_verw[], do_arpl[], read_1[], read_4[], write_2[], write_8[], read_code[], push_ss[], read_gs[];
asm(R"(
        .text
load_ds:   mov %ax, %ds
           int $0x80
load_ss:   mov %ax, %ss
           int $0x80
load_fs:   mov %ax, %fs
           int $0x80
pop_es:    push %eax
           pop %es
           int $0x80
load_lds:  push %eax
           push $0x1234
           lds (%esp), %edx
           int $0x80
do_lldt:   lldt %ax
           int $0x80
do_ltr:    ltr %ax
           int $0x80
do_lar:    xor %edx, %edx
           lar %eax, %edx
           int $0x80
do_lsl:    xor %edx, %edx
           lsl %eax, %edx
           int $0x80
do_verr:   verr %ax
           int $0x80
do_verw:   verw %ax
           int $0x80
do_arpl:   arpl %cx, %ax
           int $0x80
read_1:    mov %eax, %gs
           mov %gs:(%ebx), %al
           int $0x80
read_4:    mov %eax, %gs
           mov %gs:(%ebx), %eax
           int $0x80
write_2:   mov %eax, %gs
           mov %ax, %gs:(%ebx)
           int $0x80
write_8:   mov %eax, %gs
           fnop
           fildll zero
           fistpll %gs:(%ebx)
           int $0x80
push_ss:   mov %esp, %edx
           mov %eax, %ss
           mov %ebx, %esp
           push %ecx
           mov $0x23, %ecx
           mov %ecx, %ss
           mov %edx, %esp
           int $0x80
read_gs:   mov %gs:(%ebx), %eax
           int $0x80
zero:      .quad 0
)");

namespace guest {

namespace {

struct Operation {
  const char* name;
  const char* code;
  bool asks;     ///< answers in ZF and EDX
  bool level_3;  ///< may be executed there at all
};

constexpr Operation operations[] = {
    {"mov ds", load_ds, false, true}, {"mov ss", load_ss, false, true}, {"pop es", pop_es, false, true},
    {"lds", load_lds, false, true},   {"lldt", do_lldt, false, false},  {"ltr", do_ltr, false, false},
    {"lar", do_lar, true, true},      {"lsl", do_lsl, true, true},      {"verr", do_verr, true, true},
    {"verw", do_verw, true, true},
};

/// An answer: "-" for ZF clear, else "+"; EDX only where all agree on it.
void print_answer() {
  if (!outcome.ended_well()) return print_short();
  write((outcome.eflags & 0x40) != 0 ? " +" : " -");
}

/// Segments that a stack may lie in, system segments that LLDT and LTR may load.
u64 usable_descriptor(u8 access) {
  if ((access & 0x10) == 0) return descriptor(address_of(&other_state), 0x67, access, 0);
  const bool expand_down = (access & 0xc) == 4;
  return descriptor(0, expand_down ? 0 : 0xfffff, access, expand_down ? 0x40 : 0xc0);
}

/// All sixteen types of one P, DPL, S.
void print_types(const Operation& o, unsigned high, unsigned level, unsigned rpl) {
  print(o.name, " cpl", Hex{level}, " rpl", Hex{rpl}, " access ", Hex{high}, "x:");
  for (unsigned type = 0; type < 16; ++type) {
    restore_tables();
    segments[slot / 8] = usable_descriptor(static_cast<u8>(high << 4 | type));
    run(o.code, level, {slot | rpl, 0, 0, 0});
    o.asks ? print_answer() : print_short();
    // What became of the accessed and busy bits.
    const unsigned after = static_cast<unsigned>(segments[slot / 8] >> 40) & 0xff;
    if (after != (high << 4 | type)) print(">", Hex{after & 15});
  }
  write("\n");
}

void check_all_descriptors() {
  for (const Operation& o : operations) {
    for (const unsigned level : {0u, 3u}) {
      if (level == 3 && !o.level_3) continue;
      for (const unsigned rpl : {0u, 3u}) {
        for (unsigned high = 0; high < 16; ++high) print_types(o, high, level, rpl);
      }
    }
  }
}

void check_selectors() {
  struct Odd {
    const char* name;
    u32 selector;
  };
  constexpr Odd odd[] = {{"null", 0},      {"null rpl3", 3},     {"null local", 4},     {"beyond gdt", 0x100},
                         {"in ldt", 0x0c}, {"beyond ldt", 0x44}, {"last of gdt", 0xf8}, {"ldt entry 0", 7}};
  restore_tables();
  for (const Operation& o : operations) {
    for (const Odd& s : odd) {
      restore_tables();
      local_segments[1] = descriptor(0, 0xfffff, 0xf3, 0xc0);
      run(o.code, 0, {s.selector, 0, 0, 0});
      print(o.name, " ", s.name, ": ");
      print_outcome(o.code);
      if (o.asks) write((outcome.eflags & 0x40) != 0 ? " +" : " -");
      write("\n");
    }
  }
  asm volatile("lldt %w0" : : "r"(0));
  run(load_ds, 0, {0x0c, 0, 0, 0});
  write("mov ds without an ldt: ");
  print_outcome(load_ds);
  write("\n");
}

void check_answers() {
  restore_tables();
  struct Kind {
    const char* name;
    u8 access, flags;
    u32 limit;
  };
  constexpr Kind kinds[] = {{"data", 0x93, 0x40, 0x12345}, {"page granular", 0xf3, 0xd0, 0x12345},
                            {"code", 0xfb, 0x40, 0xabc},   {"tss", 0x89, 0, 0x67},
                            {"busy tss", 0x8b, 0, 0x67},   {"ldt", 0x82, 0, 0xffff},
                            {"tss16", 0x81, 0, 0x2b},      {"expand-down", 0x97, 0xc0, 0xfff}};
  for (const Kind& k : kinds) {
    segments[slot / 8] = descriptor(0, k.limit, k.access, k.flags);
    run(do_lar, 0, {slot, 0, 0, 0});
    print("lar of ", k.name, ": ", Hex{outcome.edx & 0xf0ff00});
    run(do_lsl, 0, {slot, 0, 0, 0});
    print(", lsl: ", Hex{outcome.edx}, "\n");
  }
  for (const u32 rpl : {0u, 1u, 3u}) {
    run(do_arpl, 3, {0x41, 0x50 | rpl, 0, 0});
    print("arpl 41 with rpl", Hex{rpl}, ": ", Hex{outcome.eax & 0xffff},
          (outcome.eflags & 0x40) != 0 ? " +\n" : " -\n");
  }
}

void check_limits() {
  struct Kind {
    const char* name;
    u8 access, flags;
    u32 limit;
  };
  constexpr Kind kinds[] = {{"up, 20 bytes", 0x93, 0x40, 0x1f},       {"up, a page", 0x93, 0xc0, 0},
                            {"down above 1f, big", 0x97, 0x40, 0x1f}, {"down above 1f, small", 0x97, 0, 0x1f},
                            {"read-only", 0x91, 0x40, 0x1f},          {"code", 0x9b, 0x40, 0x1f},
                            {"execute-only", 0x99, 0x40, 0x1f},       {"down, read-only", 0x95, 0x40, 0x1f}};
  constexpr u32 offsets[] = {0,      0x18,   0x19,   0x1c,    0x1d,        0x1e,        0x1f,
                             0x20,   0x21,   0xff8,  0xffc,   0xffd,       0xfff,       0x1000,
                             0xfffc, 0xfffd, 0xffff, 0x10000, 0xffff'fffc, 0xffff'fffd, 0xffff'ffff};
  struct Access {
    const char* name;
    const char* code;
  };
  constexpr Access accesses[] = {{"read 1", read_1}, {"read 4", read_4}, {"write 2", write_2}, {"write 8", write_8}};
  for (const Kind& k : kinds) {
    for (const Access& a : accesses) {
      restore_tables();
      segments[slot / 8] = descriptor(scratch, k.limit, k.access, k.flags);
      print("limit: ", k.name, ", ", a.name, ":");
      for (const u32 offset : offsets) {
        run(a.code, 0, {slot, 0, 0, offset});
        print_short();
      }
      write("\n");
    }
  }
  for (const Kind& k : {kinds[0], kinds[2], kinds[3]}) {
    restore_tables();
    segments[slot / 8] = descriptor(scratch, k.limit, k.access | 0x60, k.flags);
    print("limit of the stack: ", k.name, ":");
    for (const u32 pointer : {0x4u, 0x20u, 0x22u, 0x24u, 0x10000u, 0x10002u, 0u}) {
      run(push_ss, 3, {slot | 3, 0, 0, pointer});
      print_short();
    }
    write("\n");
  }
}

void check_null_segments() {
  restore_tables();
  asm volatile("mov %w0, %%gs" : : "r"(0));
  run(read_gs, 0, {0, 0, 0, 0});
  write("read through a null segment: ");
  print_outcome(read_gs);
  write("\n");
}

}  // namespace

void check_segments() {
  check_all_descriptors();
  check_selectors();
  check_answers();
  check_limits();
  check_null_segments();
}

}  // namespace guest
