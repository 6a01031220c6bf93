// The guest's clock and the pause filter (AMD APM vol. 2, 15.9, 15.14.4, 15.30.5).

#include "guests/runtime/interrupts.h"

#include "guests/conformance_svm/machine.h"

namespace guest {

namespace {

constexpr u64 shift = u64{1} << 44, ratio_one = u64{1} << 32;

u64 seen() { return registers.rdx << 32 | (vmcb.rax & 0xffff'ffff); }

struct Clock {
  const char* name;
  Code code;
  bool scaled = true;
};
constexpr Clock clocks[] = {
    {"rdtsc", "\x0f\x31"_code}, {"rdtscp", "\x0f\x01\xf9"_code}, {"rdmsr of the tsc", "\x0f\x32"_code}};

/// The host's clock before and behind `ratio` times, plus `offset`, bound what the guest reads.
void check_clock(const char* name, Code code, u64 offset, unsigned ratio) {
  prepare(code);
  registers.rcx = 0x10;
  vmcb.tsc_offset = offset;
  const u64 before = read_tsc() * ratio + offset;
  enter();
  const u64 behind = read_tsc() * ratio + offset;
  check(name, Field{"exit", vmcb.exit_code, exit_code::vmmcall},
        Field{"not before", seen() - before <= behind - before, 1});
}

void clock() {
  begin_group("tsc offset");
  for (const Clock& each : clocks) {
    if (each.name[5] == 'p' && (cpuid(0x8000'0001).edx >> 27 & 1) == 0) {
      absent(each.name), absent(each.name);
      continue;
    }
    begin_line("forward, ");
    check_clock(each.name, each.code, shift, 1);
    begin_line("backward, ");
    check_clock(each.name, each.code, -shift, 1);
  }
  begin_group("tsc ratio");
  constexpr const char* names[] = {"reset",           "kept", "reserved bits", "rdtsc", "rdtsc with an offset",
                                   "the host's clock"};
  if (!has(svm_feature::tsc_ratio)) {
    for (const char* name : names) absent(name);
    return;
  }
  check(names[0], Field{"value", read_msr(msr_tsc_ratio), ratio_one});
  write_msr(msr_tsc_ratio, 3 * ratio_one);
  check(names[1], Field{"value", read_msr(msr_tsc_ratio), 3 * ratio_one});
  const Exception refused = attempt([](u64 value) { write_msr(msr_tsc_ratio, value); }, u64{1} << 40);
  check(names[2], Field{"raised", refused.raised, 1}, Field{"vector", refused.vector, 13});
  check_clock(names[3], "\x0f\x31"_code, 0, 3);
  check_clock(names[4], "\x0f\x31"_code, shift, 3);
  const u64 before = read_tsc();
  write_msr(msr_tsc_ratio, ratio_one);
  const u64 behind = read_tsc();
  check_true(names[5], behind - before < before);
}

/// PAUSE in a loop of `count`, each followed by `delay` turns of an empty loop: mov ecx, edx; loop; pause; dec; jnz.
constexpr Code pauses = "\x89\xd1\xe2\xfe\xf3\x90\xff\xce\x75\xf6"_code;

void prepare_pauses(u64 count, u64 delay, u16 filter, u16 threshold) {
  prepare(pauses);
  registers.rsi = count;
  registers.rdx = delay;
  vmcb.pause_count = filter;
  vmcb.pause_threshold = threshold;
  intercept(exit_code::pause);
}

void pause_filter() {
  begin_group("pause filter");
  constexpr const char* names[] = {"below the count", "above the count", "a count of 0"};
  if (!has(svm_feature::pause_filter)) {
    for (const char* name : names) absent(name);
  } else {
    prepare_pauses(20, 1, 100, 0);
    check_finished(names[0]);
    prepare_pauses(100, 1, 20, 0);
    enter();
    const u64 done = 100 - (registers.rsi & 0xffff'ffff);
    check(names[1], Field{"exit", vmcb.exit_code, exit_code::pause}, Field{"rip", code_offset(), 4},
          Field{"pauses near the count", done >= 19 && done <= 21, 1});
    prepare_pauses(5, 1, 0, 0);
    enter();
    check(names[2], Field{"exit", vmcb.exit_code, exit_code::pause}, Field{"left", registers.rsi, 5});
  }
  if (!has(svm_feature::pause_threshold)) return absent("pauses far apart"), absent("pauses close together");
  prepare_pauses(50, 20'000, 10, 1000);
  check_finished("pauses far apart");
  prepare_pauses(50, 1, 10, 60'000);
  enter();
  check("pauses close together", Field{"exit", vmcb.exit_code, exit_code::pause});
}

}  // namespace

void check_time() {
  clock();
  pause_filter();
}

}  // namespace guest
