// Breakpoints and single steps (Intel SDM vol. 3, 17.2 and 17.3).

#include "guests/conformance_processor/processor.h"

extern "C" {
void step_plainly();
void step_cpuid_and_in();
void step_behind_sti();
void step_behind_mov_ss();
void int1_behind_mov_ss();
void general_detect_behind_mov_ss();
void step_repeated(void* to);
void store_watched(guest::u64* watched);
void watched_ss_then_int1(guest::u16* selector);
void watched_ss_then_int_1(guest::u16* selector);
void watched_ss_then_int3(guest::u16* selector);
void break_here();
extern char plain_1[], cpuid_1[], in_1[], sti_1[], mov_ss_1[], int1_1[], detect_1[], detect_2[], repeated_1[],
    repeated_2[], store_1[], int3_1[], break_1[];
}

namespace guest {

namespace {

constexpr u64 idle_dr6 = 0xffff'0ff0, step_bit = 0x4000, detect_bit = 0x2000;
constexpr u64 idle_dr7 = 0x400;
constexpr u64 debug_extensions = 8, resume_flag = 0x10000;
constexpr unsigned most = 12;

struct Trap {
  u64 rip, dr6;
};
Trap traps[most];
unsigned count;
u64 breakpoint_rip;
alignas(8) u64 watched;

void write_dr6(u64 value) { asm volatile("mov %0, %%dr6" : : "r"(value)); }
void write_dr7(u64 value) { asm volatile("mov %0, %%dr7" : : "r"(value)); }
u64 read_dr6() {
  u64 value;
  asm volatile("mov %%dr6, %0" : "=r"(value));
  return value;
}

void note_trap(Frame& frame) {
  const u64 dr6 = read_dr6();
  if (count < most) traps[count] = {frame.rip, dr6};
  ++count;
  if ((dr6 & 1) != 0 && frame.rip == reinterpret_cast<u64>(break_1)) frame.rflags |= resume_flag;
  write_dr6(0);
}

void prepare() {
  set_handler(1, note_trap);
  set_handler(3, [](Frame& frame) { breakpoint_rip = frame.rip; });
  set_gate_privilege(1, 3);
  count = 0;
  breakpoint_rip = 0;
  write_dr6(0);
}

bool trapped(unsigned index, const char* rip, u64 bits) {
  return index < count && traps[index].rip == reinterpret_cast<u64>(rip) && traps[index].dr6 == (idle_dr6 | bits);
}

bool steps_plain_code() {
  prepare();
  step_plainly();
  // NOP, PUSH, and the POPF that ends it.
  return count == 3 && trapped(0, plain_1, step_bit);
}

bool steps_in_user_mode() {
  prepare();
  run_in_user_mode(step_plainly);
  return count == 3 && trapped(0, plain_1, step_bit);
}

bool steps_cpuid_and_in() {
  prepare();
  step_cpuid_and_in();
  return count == 7 && trapped(2, cpuid_1, step_bit) && trapped(4, in_1, step_bit);
}

bool steps_behind_sti() {
  prepare();
  step_behind_sti();
  return count == 4 && trapped(0, sti_1, step_bit);
}

bool mov_ss_swallows_its_step() {
  prepare();
  step_behind_mov_ss();
  return count == 3 && trapped(0, mov_ss_1, step_bit);
}

bool int1_reports_no_step() {
  prepare();
  int1_behind_mov_ss();
  return count == 3 && trapped(0, int1_1, 0) && traps[1].dr6 == (idle_dr6 | step_bit);
}

bool general_detect_ignores_the_shadow() {
  prepare();
  write_dr7(idle_dr7 | 1u << 13);
  general_detect_behind_mov_ss();
  return count == 4 && trapped(0, detect_1, detect_bit) && trapped(1, detect_2, step_bit);
}

bool steps_each_iteration() {
  prepare();
  u8 bytes[3];
  step_repeated(bytes);
  return count == 5 && trapped(0, repeated_1, step_bit) && trapped(1, repeated_1, step_bit) &&
         trapped(2, repeated_2, step_bit);
}

void watch(const void* address, u64 dr7) {
  asm volatile("mov %0, %%dr1" : : "r"(address));
  write_dr7(dr7);
}

bool watches_writes() {
  prepare();
  watched = 0;
  watch(&watched, 0x00d0'040a);
  store_watched(&watched);
  write_dr7(idle_dr7);
  return count == 1 && trapped(0, store_1, 2);
}

bool keeps_other_bits_of_dr6() {
  prepare();
  watch(&watched, 0x00d0'040a);
  write_dr6(step_bit | 1);
  store_watched(&watched);
  write_dr7(idle_dr7);
  return count == 1 && trapped(0, store_1, step_bit | 2);
}

unsigned traps_of(void (*sequence)(u16*)) {
  prepare();
  watched = 0x10;
  watch(&watched, 0x00f0'040a);
  sequence(reinterpret_cast<u16*>(&watched));
  write_dr7(idle_dr7);
  return count;
}

bool merges_a_held_watchpoint_with_int1() { return traps_of(watched_ss_then_int1) == 1; }
bool traps_in_the_handler_of_int_1() { return traps_of(watched_ss_then_int_1) == 2; }
bool traps_in_the_handler_of_int3() {
  return traps_of(watched_ss_then_int3) == 1 && breakpoint_rip == reinterpret_cast<u64>(int3_1);
}

bool breaks_before_the_instruction() {
  prepare();
  asm volatile("mov %0, %%dr0" : : "r"(break_1));
  write_dr7(idle_dr7 | 2);
  break_here();
  write_dr7(idle_dr7);
  return count == 1 && trapped(0, break_1, 1);
}

void read_dr4(u64) { asm volatile("mov %%dr4, %%rax" : : : "rax"); }

bool dr4_is_dr6_without_extensions() {
  prepare();
  write_cr<4>(read_cr<4>() & ~debug_extensions);
  asm volatile("mov %0, %%dr4" : : "r"(step_bit));
  const bool aliased = read_dr6() == (idle_dr6 | step_bit) && succeeds(read_dr4);
  write_cr<4>(read_cr<4>() | debug_extensions);
  const bool undefined = raises(invalid_opcode, read_dr4);
  write_cr<4>(read_cr<4>() & ~debug_extensions);
  return aliased && undefined;
}

bool upper_halves_are_reserved() {
  return raises(general_protection, write_dr6, u64{1} << 32) && raises(general_protection, write_dr7, u64{1} << 63);
}

constexpr ProcessorCheck checks[] = {
    {"single steps", steps_plain_code},
    {"single steps in user mode", steps_in_user_mode},
    {"single steps over CPUID and IN", steps_cpuid_and_in},
    {"single step of STI", steps_behind_sti},
    {"single step of MOV SS", mov_ss_swallows_its_step},
    {"INT1 behind MOV SS", int1_reports_no_step},
    {"general detect behind MOV SS", general_detect_ignores_the_shadow},
    {"single steps over REP STOSB", steps_each_iteration},
    {"write watchpoint", watches_writes},
    {"DR6 bits of others", keeps_other_bits_of_dr6},
    {"MOV SS, watchpoint, INT1", merges_a_held_watchpoint_with_int1},
    {"MOV SS, watchpoint, INT 1", traps_in_the_handler_of_int_1},
    {"MOV SS, watchpoint, INT3", traps_in_the_handler_of_int3},
    {"instruction breakpoint", breaks_before_the_instruction},
    {"DR4", dr4_is_dr6_without_extensions},
    {"upper halves of DR6 and DR7", upper_halves_are_reserved},
};

}  // namespace

unsigned check_debugging() {
  const unsigned failed = run_processor_checks("debugging", checks);
  set_handler(1, nullptr);
  set_handler(3, nullptr);
  return failed;
}

}  // namespace guest
