// The guest's clock, the VMX-preemption timer, PAUSE-loop exiting (Intel SDM vol. 3, 25.3, 25.5.1, 25.1.3).

#include "guests/conformance_vmx/machine.h"
#include "guests/runtime/apic.h"
#include "guests/runtime/processors.h"

namespace guest {

namespace {

volatile bool wants_startup = false;
constexpr u32 startup_vector = 0x12;

constexpr u64 shift = u64{1} << 44;

u64 seen() { return registers.rdx << 32 | (registers.rax & 0xffff'ffff); }

struct Clock {
  const char* name;
  Code code;
  u32 control = 0;
};
constexpr Clock clocks[] = {{"rdtsc", "\x0f\x31"_code},
                            {"rdtscp", "\x0f\x01\xf9"_code, secondary_control::rdtscp},
                            {"rdmsr of the tsc", "\x0f\x32"_code}};
alignas(4096) u8 msr_map[4096];

/// The host's clock before and behind, scaled and moved, bounds what the guest reads.
void check_clock(const Clock& clock, u64 offset, u64 ratio) {
  prepare(clock.code);
  registers.rcx = msr_tsc;
  enable(Word::Primary, primary_control::tsc_offset);
  if (has(Word::Primary, primary_control::msr_maps)) {
    enable(Word::Primary, primary_control::msr_maps);
    put(vmcs::msr_map, reinterpret_cast<u64>(msr_map));
  }
  if (clock.control != 0) enable(Word::Secondary, clock.control);
  put(vmcs::tsc_offset, offset);
  if (ratio != 1) {
    enable(Word::Secondary, secondary_control::tsc_scaling);
    put(vmcs::tsc_multiplier, ratio << 48);
  }
  const u64 before = read_tsc() * ratio + offset;
  enter();
  const u64 behind = read_tsc() * ratio + offset;
  check(clock.name, Field{"reason", exit_reason(), reason::vmcall},
        Field{"between", seen() - before <= behind - before, 1});
}

bool exists(const Clock& clock) {
  if (clock.control == 0) return clock.code.bytes[1] != '\x32' || has(Word::Primary, primary_control::msr_maps);
  return has_secondary(clock.control) && (cpuid(0x8000'0001).edx >> 27 & 1) != 0;
}

void clock() {
  for (const u64 offset : {shift, -shift}) {
    begin_group(offset == shift ? "tsc offset, forward" : "tsc offset, backward");
    for (const Clock& each : clocks) {
      if (exists(each)) {
        check_clock(each, offset, 1);
      } else {
        absent(each.name);
      }
    }
  }
  begin_group("tsc scaling");
  for (const Clock& each : clocks) {
    if (exists(each) && has_secondary(secondary_control::tsc_scaling)) {
      check_clock(each, shift, 3);
    } else {
      absent(each.name);
    }
  }
}

/// mov ecx, edx; loop; the preemption timer counts meanwhile.
constexpr Code spin = "\x89\xd1\xe2\xfe"_code;

void preemption_timer() {
  begin_group("preemption timer");
  constexpr const char* names[] = {"0", "long", "short", "saved", "not saved", "behind an injected event", "halted"};
  if (!has(Word::Pin, pin_control::timer)) {
    for (const char* name : names) absent(name);
    return;
  }
  const auto with_timer = [](Code code, u32 value) {
    prepare(code);
    enable(Word::Pin, pin_control::timer);
    put(vmcs::preemption_timer, value);
  };
  with_timer("\x90"_code, 0);
  check_exit(names[0], {reason::timer});
  with_timer("\x90"_code, 0xffff'ffff);
  check_finished(names[1]);
  with_timer(spin, 100);
  registers.rdx = 10'000'000;
  enter();
  check(names[2], Field{"reason", exit_reason(), reason::timer}, Field{"in the loop", code_offset(), 2});
  const bool saves = has(Word::Exit, exit_control::save_timer);
  if (saves) {
    with_timer(spin, 0xffff'ffff);
    enable(Word::Exit, exit_control::save_timer);
    registers.rdx = 100'000;
    enter();
    const u64 left = get(vmcs::preemption_timer);
    check(names[3], Field{"reason", exit_reason(), reason::vmcall},
          Field{"less", left < 0xffff'ffff && left > 0x8000'0000, 1});
  } else {
    absent(names[3]);
  }
  with_timer(spin, 0xffff'ffff);
  registers.rdx = 100'000;
  enter();
  check(names[4], Field{"value", get(vmcs::preemption_timer), 0xffff'ffff});
  with_timer("\x90"_code, 0);
  set(vmcs::guest_rflags, 0x200);
  put(vmcs::entry_event, event_valid | 0x30);
  enter();
  check(names[5], Field{"reason", exit_reason(), reason::timer}, Field{"rip", get(vmcs::guest_rip), event_entry(0x30)});
  if (is_bochs()) return leave_out(names[6], "at which Bochs hangs");
  with_timer("\xf4"_code, 1000);
  enter();
  check(names[6], Field{"reason", exit_reason(), reason::timer}, Field{"rip", code_offset(), 1},
        Field{"activity", get(vmcs::activity), 1});
}

/// mov ecx, edx; loop; pause; dec esi; jnz
constexpr Code pauses = "\x89\xd1\xe2\xfe\xf3\x90\xff\xce\x75\xf6"_code;

void pause_loops() {
  begin_group("pause-loop exiting");
  constexpr const char* names[] = {"a long loop", "pauses far apart", "a short loop", "level 3"};
  if (!has_secondary(secondary_control::pause_loop)) {
    for (const char* name : names) absent(name);
    return;
  }
  const auto with_pauses = [](u64 count, u64 delay, u32 gap, u32 limit) {
    prepare(pauses);
    enable(Word::Secondary, secondary_control::pause_loop);
    put(vmcs::pause_gap, gap);
    put(vmcs::pause_window, limit);
    registers.rsi = count;
    registers.rdx = delay;
  };
  with_pauses(100'000, 1, 100'000, 100'000);
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::pause}, Field{"rip", code_offset(), 4});
  with_pauses(20, 100'000, 1000, 10'000);
  check_finished(names[1]);
  with_pauses(5, 1, 1'000'000, 100'000'000);
  check_finished(names[2]);
  with_pauses(100'000, 1, 100'000, 100'000);
  at_level_3();
  check_finished(names[3]);
}

/// INIT waits in root operation and leaves a guest (23.8).
void init() {
  begin_group("init");
  if (is_bochs()) return leave_out("exits", "which resets Bochs"), leave_out("only once", "likewise");
  prepare("\x90"_code);
  auto* const command = reinterpret_cast<volatile u32*>(0xfee0'0000);
  command[0x310 / 4] = command[0x20 / 4];
  command[0x300 / 4] = 0x4500;
  check_exit("exits", {reason::init});
  prepare("\x90"_code);
  check_finished("only once");
}

/// A guest that is entered waiting for a SIPI (26.6.2), which the second processor sends until it has arrived.
void startup() {
  begin_group("sipi");
  if (processor_count() != 2 || (read_msr(msr_vmx_misc) >> 8 & 1) == 0) return absent("exits");
  enable_apic(false);
  start_processors();
  prepare("\x90"_code);
  put(vmcs::activity, 3);
  wants_startup = true;
  enter();
  wants_startup = false;
  check("exits", Field{"reason", exit_reason(), reason::sipi},
        Field{"qualification", get(vmcs::qualification), startup_vector}, Field{"activity", get(vmcs::activity), 3},
        Field{"rip", code_offset(), 0});
}

}  // namespace

void check_time() {
  clock();
  preemption_timer();
  pause_loops();
  init();
  startup();
}

}  // namespace guest

void processor_main(guest::u32) {
  using namespace guest;
  enable_apic(false);
  while (!wants_startup) pause();
  while (wants_startup) {
    send_command(0, 0x4600 | startup_vector);
    for (unsigned i = 0; i < 1000; ++i) pause();
  }
}
