// Segment registers, descriptor questions and addresses in 64-bit and compatibility mode (Intel SDM vol. 3, 3.4.4, 5.8;
// vol. 1, 3.3.7.1).

#include "guests/conformance_long/machine.h"

extern "C" char l_ds[], l_ss[], l_fs[], l_lldt[], l_ltr[], l_lar[], l_lsl[], l_verr[], l_verw[], a_load[], a_store[],
    a_stack[], a_push[], a_pop[], a_fs[], a_jump[], a_call[], a_ret[], a_call_mem[], a_load_2[], a_load_8[], a_string[],
    c_load[], c_store_limit[], c_push[], c_far[], c_into[], c_bound[], c_read_es[];
asm(R"(
        .text
        .code64
l_ds:   mov %eax, %ds
        int $0x80
l_ss:   mov %eax, %ss
        int $0x80
l_fs:   mov %eax, %fs
        int $0x80
l_lldt: lldt %ax
        int $0x80
l_ltr:  ltr %ax
        int $0x80
l_lar:  xor %edx, %edx
        lar %eax, %edx
        int $0x80
l_lsl:  xor %edx, %edx
        lsl %eax, %edx
        int $0x80
l_verr: verr %ax
        int $0x80
l_verw: verw %ax
        int $0x80
a_load: mov (%rax), %cl
        int $0x80
a_load_2:
        mov (%rax), %cx
        int $0x80
a_load_8:
        mov (%rax), %rcx
        int $0x80
a_store:
        mov %cl, (%rax)
        int $0x80
a_stack:
        mov %rax, %rbp
        mov (%rbp), %cl
        int $0x80
a_push: mov %rax, %rsp
        push %rcx
        int $0x80
a_pop:  mov %rax, %rsp
        pop %rcx
        int $0x80
a_fs:   mov %fs:(%rax), %cl
        int $0x80
a_jump: jmp *%rax
a_call: call *%rax
a_call_mem:
        push %rax
        call *(%rsp)
a_ret:  push %rax
        ret
a_string:
        mov %rax, %rsi
        mov %rbx, %rdi
        mov $2, %ecx
        rep movsb
        int $0x80
        .code32
c_load: mov (%eax), %cl
        int $0x80
c_push: mov %eax, %esp
        push %ecx
        int $0x80
c_into: mov $0x7f, %al
        add $1, %al
        into
        int $0x80
c_bound:
        push $5
        push $2
        mov $1, %eax
        bound %eax, (%esp)
c_read_es:
        mov %eax, %es
        mov %es:(%ebx), %al
        int $0x80
        .code64
)");

namespace guest {

namespace {

struct Operation {
  const char* name;
  const char* code;
  bool asks;
  bool level_3;
};

constexpr Operation operations[] = {
    {"mov ds", l_ds, false, true},  {"mov ss", l_ss, false, true}, {"mov fs", l_fs, false, true},
    {"lldt", l_lldt, false, false}, {"ltr", l_ltr, false, false},  {"lar", l_lar, true, true},
    {"lsl", l_lsl, true, true},     {"verr", l_verr, true, true},  {"verw", l_verw, true, true},
};

void print_types(const Operation& o, unsigned high, unsigned level, unsigned rpl) {
  print(o.name, " cpl", level, " rpl", rpl, " access ", Hex{high}, "x:");
  for (unsigned type = 0; type < 16; ++type) {
    restore_tables();
    const u8 access = static_cast<u8>(high << 4 | type);
    segments[slot / 8] = descriptor(0, 0xfffff, access, (access & 0x18) == 0x18 ? 0xa0 : 0xc0);
    if ((access & 0x10) == 0) segments[slot / 8] = descriptor(0x7000, 0xfff, access, 0);
    run(o.code, level == 0 ? code0 : code3, {slot | rpl, 0, 0, 0});
    if (o.asks && outcome.ended_well())
      write((outcome.rflags & 0x40) != 0 ? " +" : " -");
    else
      print_short();
    const unsigned after = static_cast<unsigned>(segments[slot / 8] >> 40) & 0xff;
    if (after != access) print(">", Hex{after & 15});
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
  for (const Operation& o : operations) {
    for (const u64 selector : {u64{0}, u64{3}, u64{4}, u64{0x100}, u64{0xf8}, u64{0xc}}) {
      for (const u16 cs : {code0, code3}) {
        if (cs == code3 && !o.level_3) continue;
        restore_tables();
        run(o.code, cs, {selector, 0, 0, 0});
        print(o.name, " of ", Hex{selector}, " cpl", Hex{static_cast<u64>(cs) & 3}, ": ");
        print_outcome(o.code);
        if (o.asks) write((outcome.rflags & 0x40) != 0 ? " +" : " -");
        write("\n");
      }
    }
  }
  // The second half of a system descriptor.
  for (const u64 high : {u64{0}, u64{0xffff'8000}, u64{0x4000'0000}, u64{1} << 40, u64{0x1f} << 40, u64{0x20} << 40}) {
    for (const char* code : {l_lldt, l_ltr}) {
      restore_tables();
      segments[slot / 8] = descriptor(0x7000, 0xfff, code == l_lldt ? 0x82 : 0x89, 0);
      segments[slot / 8 + 1] = high;
      run(code, code0, {slot, 0, 0, 0});
      print(code == l_lldt ? "lldt" : "ltr", " with upper half ", Hex{high}, ": ");
      print_outcome(code);
      write("\n");
    }
  }
}

void check_addresses() {
  struct Access {
    const char* name;
    const char* code;
  };
  constexpr Access accesses[] = {{"load", a_load},   {"load 2", a_load_2}, {"load 8", a_load_8},     {"store", a_store},
                                 {"stack", a_stack}, {"push", a_push},     {"pop", a_pop},           {"fs", a_fs},
                                 {"jmp", a_jump},    {"call", a_call},     {"call mem", a_call_mem}, {"ret", a_ret},
                                 {"movs", a_string}};
  constexpr u64 places[] = {not_canonical,         last_canonical,        not_canonical + 4,
                            0xffff'7fff'ffff'ffff, 0xffff'8000'0000'0000, 0xaaaa'aaaa'aaaa'aaaa};
  for (const Access& a : accesses) {
    for (const u64 place : places) {
      restore_tables();
      run(a.code, code3, {place, 0, 0, scratch});
      print("address ", a.name, " ", Hex{place}, ": ");
      print_outcome(a.code);
      if (outcome.vector == 14) print(" cr2 ", Hex{outcome.cr2});
      write("\n");
    }
  }
  constexpr u32 fs_base = 0xc000'0100;
  for (const u64 base : {last_canonical, u64{0xffff'8000'0000'0000}, scratch}) {
    for (const u64 offset : {u64{0}, u64{1}, ~u64{0}}) {
      restore_tables();
      write_msr(fs_base, base);
      run(a_fs, code3, {offset, 0, 0, 0});
      write_msr(fs_base, 0);
      print("fs base ", Hex{base}, " offset ", Hex{offset}, ": ");
      print_outcome(a_fs);
      write("\n");
    }
  }
}

void check_compatibility() {
  struct Case {
    const char* name;
    const char* code;
    u64 rax;
  };
  constexpr Case cases[] = {{"load at 0xb000", c_load, scratch},
                            {"load, upper half ignored", c_load, not_canonical | scratch},
                            {"push", c_push, 0x8000},
                            {"push below zero", c_push, 2},
                            {"into", c_into, 0},
                            {"bound", c_bound, 0}};
  for (const Case& c : cases) {
    restore_tables();
    run(c.code, code32, {c.rax, 0, 0, 0});
    print("compatibility, ", c.name, ": ");
    print_outcome(c.code);
    if (outcome.vector == 14) print(" cr2 ", Hex{outcome.cr2});
    print(" rsp ", Hex{outcome.rsp}, "\n");
  }
  for (const u64 offset : {u64{0x1f}, u64{0x20}, u64{0xffff'ffff}}) {
    restore_tables();
    segments[slot / 8] = descriptor(scratch, 0x1f, 0xf3, 0x40);
    run(c_read_es, code32, {slot | 3, 0, 0, offset});
    print("compatibility, limit, offset ", Hex{offset}, ": ");
    print_outcome(c_read_es);
    write("\n");
  }
}

}  // namespace

void check_long_segments() {
  check_all_descriptors();
  check_selectors();
  check_addresses();
  check_compatibility();
}

}  // namespace guest
