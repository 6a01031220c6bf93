// SYSCALL, SYSRET, SYSENTER, SYSEXIT (Intel SDM vol. 3, 5.8.7 and 5.8.8), SWAPGS and the instructions that 64-bit mode lost.

#include "guests/conformance_long/machine.h"

extern "C" char y_syscall[], y_sysret[], y_sysretl[], y_sysenter[], y_sysexit[], y_sysexitq[], y_swapgs[], y_push_es[],
    y_pusha[], y_into[], y_les[], y_aam[], y_far[], y_salc[], y_call_far[], y_arpl[], y_loop[], y_lds[], y_bound[],
    y_daa[];
asm(R"(
        .text
        .code64
y_syscall:  syscall
            int $0x80
y_sysret:   sysretq
y_sysretl:  sysretl
y_sysenter: sysenter
y_sysexit:  sysexitl
y_sysexitq: sysexitq
y_swapgs:   swapgs
            swapgs
            int $0x80
y_push_es:  .byte 0x06, 0xcd, 0x80
y_pusha:    .byte 0x60, 0xcd, 0x80
y_into:     .byte 0xce, 0xcd, 0x80
y_daa:      .byte 0x27, 0xcd, 0x80
y_aam:      .byte 0xd4, 0x0a, 0xcd, 0x80
y_far:      .byte 0xea, 0, 0x60, 0, 0, 8, 0
y_call_far: .byte 0x9a, 0, 0x60, 0, 0, 8, 0
y_salc:     .byte 0xd6, 0xcd, 0x80
)");

namespace guest {

namespace {

constexpr u32 efer = 0xc000'0080, star = 0xc000'0081, lstar = 0xc000'0082, sfmask = 0xc000'0084, sysenter_cs = 0x174,
              sysenter_esp = 0x175, sysenter_eip = 0x176;

void print_state() {
  print(" cs ", Hex{outcome.cs}, " ss ", Hex{outcome.ss}, " rip ", Hex{outcome.rip}, " flags ", Hex{outcome.rflags},
        " rcx ", Hex{outcome.rcx}, " r11 ", Hex{outcome.r11}, " rsp ", Hex{outcome.rsp}, "\n");
}

void check(const char* name, const char* code, u16 cs, const Arguments& given, u64 flags = 2) {
  restore_tables();
  run(code, cs, given, flags);
  print(name, " from ", Hex{cs}, ": ");
  print_outcome(code);
  if (outcome.ended_well())
    print_state();
  else
    write("\n");
}

}  // namespace

void check_system_calls() {
  // Selectors: code0, data0; user base such that +8 is data3 and +16 is code3.
  write_msr(star, u64{0x1b} << 48 | u64{code0} << 32);
  write_msr(lstar, landing);
  write_msr(sfmask, 0x4'4700);
  write_msr(sysenter_cs, code0);
  write_msr(sysenter_esp, other_stack);
  write_msr(sysenter_eip, landing);
  const u64 enabled = read_msr(efer);
  const u64 user_landing = landing;
  for (const u16 cs : {code0, code3}) {
    check("syscall", y_syscall, cs, {}, 0x3'3ed7 & ~u64{0x30100});
    check("syscall with ac and nt", y_syscall, cs, {}, 0x4'4202);
    check("sysret", y_sysret, cs, {0, user_landing, 0, 0});
    check("sysret to 32 bits", y_sysretl, cs, {0, user_landing, 0, 0});
    check("sysexit", y_sysexit, cs, {0, stack3, landing, 0});
    check("sysexit to 64 bits", y_sysexitq, cs, {0, stack3, landing, 0});
    check("sysexit, rip not canonical", y_sysexitq, cs, {0, stack3, not_canonical, 0});
    check("sysexit, rsp not canonical", y_sysexitq, cs, {0, not_canonical, landing, 0});
    check("swapgs", y_swapgs, cs, {});
  }
  for (const u16 cs : {code0, code3, code32}) check("sysenter", y_sysenter, cs, {}, 0x202);
  write_msr(sysenter_cs, 3);
  check("sysenter with a null selector", y_sysenter, code3, {});
  check("sysexit with a null selector", y_sysexit, code0, {0, stack3, landing, 0});
  write_msr(efer, enabled & ~u64{1});
  check("syscall without efer.sce", y_syscall, code3, {});
  check("sysret without efer.sce", y_sysret, code0, {0, user_landing, 0, 0});
  write_msr(efer, enabled);
  check("sysret, rip not canonical", y_sysret, code0, {0, not_canonical, 0, 0});
  struct Gone {
    const char* name;
    const char* code;
  };
  constexpr Gone gone[] = {{"push es", y_push_es}, {"pusha", y_pusha}, {"into", y_into},         {"daa", y_daa},
                           {"aam", y_aam},         {"jmp far", y_far}, {"call far", y_call_far}, {"salc", y_salc}};
  for (const Gone& g : gone) {
    restore_tables();
    run(g.code, code3);
    print("64-bit mode without ", g.name, ": ");
    print_outcome(g.code);
    write("\n");
  }
}

}  // namespace guest
