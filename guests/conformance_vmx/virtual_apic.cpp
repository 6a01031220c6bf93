// APIC virtualization (Intel SDM vol. 3, 29): TPR shadow and threshold, APIC accesses, registers, x2APIC MSRs, delivery of virtual
// interrupts, posted interrupts.

#include "guests/runtime/interrupts.h"

#include "guests/conformance_vmx/machine.h"
#include "guests/runtime/apic.h"

namespace guest {

namespace {

constexpr u64 access_page = 0x33'0000, interrupt_flag = 0x200;
constexpr u32 vtpr = 0x80, veoi = 0xb0, visr = 0x100, virr = 0x200, vicr_low = 0x300, vicr_high = 0x310;
constexpr unsigned vector = 0x51, notification = 0xf1;
constexpr u32 to_self = 0x4'0000 | 0x4000;
constexpr Code read_code = "\x8b\x07"_code, write_code = "\x89\x07"_code, nops = "\x90\x90"_code;

alignas(4096) u8 page[4096];
alignas(4096) u8 msr_map[4096];
alignas(64) u64 posted[8];

u32& word(u32 offset) { return *reinterpret_cast<u32*>(page + offset); }
void set_vector(u32 offset, unsigned v) { word(offset + v / 32 * 0x10) |= 1u << v % 32; }
u64 has_vector(u32 offset, unsigned v) { return word(offset + v / 32 * 0x10) >> v % 32 & 1; }

void with_shadow(Code code) {
  prepare(code);
  __builtin_memset(page, 0, sizeof page);
  enable(Word::Primary, primary_control::tpr_shadow);
  put(vmcs::virtual_apic, reinterpret_cast<u64>(page));
}
void with_accesses(Code code) {
  with_shadow(code);
  enable(Word::Secondary, secondary_control::apic_accesses);
  put(vmcs::apic_access, access_page);
}
void with_delivery(Code code) {
  with_accesses(code);
  enable(Word::Pin, pin_control::external);
  enable(Word::Secondary, secondary_control::interrupt_delivery);
  if (has_secondary(secondary_control::apic_registers)) enable(Word::Secondary, secondary_control::apic_registers);
  put(vmcs::guest_interrupt_status, 0);
  for (u32 i = 0; i < 4; ++i) put(vmcs::eoi_exit_0 + 2 * i, 0);
}

void task_priority() {
  begin_group("tpr shadow");
  constexpr const char* names[] = {"mov from cr8", "mov to cr8", "above the threshold", "below the threshold"};
  if (!has(Word::Primary, primary_control::tpr_shadow)) {
    for (const char* name : names) absent(name);
    return;
  }
  with_shadow("\x44\x0f\x20\xc0"_code);
  word(vtpr) = 0x70;
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall}, Field{"rax", registers.rax, 7});
  with_shadow("\x44\x0f\x22\xc0"_code);
  registers.rax = 9;
  enter();
  check(names[1], Field{"reason", exit_reason(), reason::vmcall}, Field{"vtpr", word(vtpr), 0x90});
  with_shadow("\x44\x0f\x22\xc0\x90"_code);
  word(vtpr) = 0x80;
  put(vmcs::tpr_threshold, 5);
  registers.rax = 5;
  check_finished(names[2]);
  with_shadow("\x44\x0f\x22\xc0\x90"_code);
  word(vtpr) = 0x80;
  put(vmcs::tpr_threshold, 5);
  registers.rax = 4;
  check_exit(names[3], {.reason = reason::tpr, .at = 4});
}

/// Reads and writes of the APIC-access page: exits with offset and type (table 27-6), but for TPR.
void accesses() {
  begin_group("apic access");
  constexpr const char* names[] = {"read",
                                   "write",
                                   "fetch",
                                   "read of the tpr",
                                   "write of the tpr",
                                   "write of the tpr below the threshold",
                                   "entry below the threshold"};
  if (!has_secondary(secondary_control::apic_accesses)) {
    for (const char* name : names) absent(name);
    return;
  }
  with_accesses(read_code);
  registers.rdi = access_page + 0x30;
  check_exit(names[0], {reason::apic_access, any, 0x030});
  with_accesses(write_code);
  registers.rdi = access_page + 0x320;
  check_exit(names[1], {reason::apic_access, any, 0x1320});
  if (is_bochs()) {
    leave_out(names[2], "which ends Bochs");
  } else {
    with_accesses("\xff\xe7"_code);
    registers.rdi = access_page + 0x10;
    enter();
    check(names[2], Field{"reason", exit_reason(), reason::apic_access},
          Field{"qualification", get(vmcs::qualification), 0x2010});
  }
  with_accesses(read_code);
  registers.rdi = access_page + vtpr;
  word(vtpr) = 0x40;
  enter();
  check(names[3], Field{"reason", exit_reason(), reason::vmcall}, Field{"eax", registers.rax, 0x40});
  with_accesses(write_code);
  registers.rdi = access_page + vtpr;
  registers.rax = 0x50;
  enter();
  check(names[4], Field{"reason", exit_reason(), reason::vmcall}, Field{"vtpr", word(vtpr) & 0xff, 0x50});
  with_accesses("\x89\x07\x90"_code);
  registers.rdi = access_page + vtpr;
  word(vtpr) = 0x80;
  registers.rax = 0x20;
  put(vmcs::tpr_threshold, 5);
  check_exit(names[5], {.reason = reason::tpr, .at = 2});
  with_accesses(nops);
  put(vmcs::tpr_threshold, 5);
  check_exit(names[6], {.reason = reason::tpr});
}

void registers_of_apic() {
  begin_group("apic registers");
  constexpr const char* names[] = {"read of the version", "read of isr", "read of an absent one", "write of the timer",
                                   "write of the version"};
  if (!has_secondary(secondary_control::apic_registers)) {
    for (const char* name : names) absent(name);
    return;
  }
  const auto with_registers = [](Code code, u64 offset) {
    with_accesses(code);
    enable(Word::Secondary, secondary_control::apic_registers);
    registers.rdi = access_page + offset;
  };
  with_registers(read_code, 0x30);
  word(0x30) = 0x5'0014;
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall}, Field{"eax", registers.rax, 0x5'0014});
  with_registers(read_code, 0x110);
  word(0x110) = 0x1234;
  enter();
  check(names[1], Field{"reason", exit_reason(), reason::vmcall}, Field{"eax", registers.rax, 0x1234});
  with_registers(read_code, 0x40);
  check_exit(names[2], {reason::apic_access, any, 0x040});
  with_registers("\x89\x07\x90"_code, 0x320);
  registers.rax = 0x1'0031;
  enter();
  check(names[3], Field{"reason", exit_reason(), reason::apic_write},
        Field{"qualification", get(vmcs::qualification), 0x320}, Field{"rip", code_offset(), 2},
        Field{"page", word(0x320), 0x1'0031});
  with_registers(write_code, 0x30);
  check_exit(names[4], {reason::apic_access, any, 0x1030});
}

void x2apic() {
  begin_group("x2apic");
  constexpr const char* names[] = {"rdmsr of the tpr", "wrmsr of the tpr", "rdmsr of the tpr that the bitmap takes"};
  if (!has_secondary(secondary_control::x2apic) || !has(Word::Primary, primary_control::msr_maps)) {
    for (const char* name : names) absent(name);
    return;
  }
  for (unsigned i = 0; i < 3; ++i) {
    with_shadow(i == 1 ? "\x0f\x30"_code : "\x0f\x32"_code);
    enable(Word::Secondary, secondary_control::x2apic);
    enable(Word::Primary, primary_control::msr_maps);
    __builtin_memset(msr_map, i == 2 ? 0xff : 0, sizeof msr_map);
    put(vmcs::msr_map, reinterpret_cast<u64>(msr_map));
    registers.rcx = 0x808;
    registers.rax = 0x60;
    word(vtpr) = 0x30;
    if (i == 2) {
      check_exit(names[i], {reason::rdmsr, 2});
      continue;
    }
    enter();
    check(names[i], Field{"reason", exit_reason(), reason::vmcall}, Field{"eax", registers.rax, i == 0 ? 0x30u : 0x60u},
          Field{"vtpr", word(vtpr), i == 0 ? 0x30u : 0x60u});
  }
}

void check_delivery(const char* name, unsigned wanted) {
  enter();
  check(name, Field{"reason", exit_reason(), reason::vmcall}, Field{"rip", get(vmcs::guest_rip), event_entry(wanted)},
        Field{"in service", has_vector(visr, wanted), 1}, Field{"requested", has_vector(virr, wanted), 0},
        Field{"status", get(vmcs::guest_interrupt_status), u64{wanted} << 8});
}

void prepare_request(Code code) {
  with_delivery(code);
  set_vector(virr, vector);
  put(vmcs::guest_interrupt_status, vector);
}

void delivery() {
  begin_group("virtual interrupt");
  constexpr const char* names[] = {"at entry",
                                   "if clear",
                                   "held back by the tpr",
                                   "behind sti",
                                   "behind a lower tpr",
                                   "self-ipi",
                                   "eoi",
                                   "eoi of a vector that exits",
                                   "interrupt window first",
                                   "two at once"};
  if (!has_secondary(secondary_control::interrupt_delivery)) {
    for (const char* name : names) absent(name);
    return;
  }
  prepare_request(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  check_delivery(names[0], vector);
  prepare_request(nops);
  check_finished(names[1]);
  prepare_request(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  word(vtpr) = 0x60;
  check_finished(names[2]);
  prepare_request("\xfb\x90\x90"_code);
  check_delivery(names[3], vector);
  prepare_request("\x44\x0f\x22\xc0\x90\x90"_code);
  set(vmcs::guest_rflags, interrupt_flag);
  word(vtpr) = 0x60;
  registers.rax = 2;
  check_delivery(names[4], vector);
  with_delivery("\x89\x07\x90\x90"_code);
  set(vmcs::guest_rflags, interrupt_flag);
  registers.rdi = access_page + vicr_low;
  registers.rax = 0x4'0000 | vector;
  check_delivery(names[5], vector);
  for (const bool exits : {false, true}) {
    with_delivery("\x89\x07\x90"_code);
    registers.rdi = access_page + veoi;
    set_vector(visr, vector);
    put(vmcs::guest_interrupt_status, vector << 8);
    if (exits) put(vmcs::eoi_exit_0 + 2 * (vector / 64), u64{1} << vector % 64);
    enter();
    check(names[exits ? 7 : 6], Field{"reason", exit_reason(), exits ? reason::virtual_eoi : reason::vmcall},
          Field{"qualification", get(vmcs::qualification), exits ? u64{vector} : any},
          Field{"rip", code_offset(), exits ? 2u : 3u}, Field{"in service", has_vector(visr, vector), 0},
          Field{"status", get(vmcs::guest_interrupt_status), 0});
  }
  prepare_request(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  enable(Word::Primary, primary_control::interrupt_window);
  check_exit(names[8], {reason::interrupt_window});
  prepare_request(nops);
  set(vmcs::guest_rflags, interrupt_flag);
  set_vector(virr, 0x41);
  enter();
  check(names[9], Field{"rip", get(vmcs::guest_rip), event_entry(vector)},
        Field{"status", get(vmcs::guest_interrupt_status), u64{vector} << 8 | 0x41});
}

void posted_interrupts() {
  begin_group("posted interrupt");
  constexpr const char* names[] = {"notification", "another interrupt", "nothing posted"};
  if (!has(Word::Pin, pin_control::posted)) {
    for (const char* name : names) absent(name);
    return;
  }
  const auto with_posted = [] {
    with_delivery(nops);
    enable(Word::Pin, pin_control::posted);
    enable(Word::Exit, exit_control::acknowledge);
    put(vmcs::posted_vector, notification);
    put(vmcs::posted_descriptor, reinterpret_cast<u64>(posted));
    __builtin_memset(posted, 0, sizeof posted);
    set(vmcs::guest_rflags, interrupt_flag);
  };
  with_posted();
  posted[vector / 64] = u64{1} << vector % 64;
  posted[4] = 1;  // outstanding notification
  send_command(0, to_self | notification);
  enter();
  check(names[0], Field{"reason", exit_reason(), reason::vmcall},
        Field{"rip", get(vmcs::guest_rip), event_entry(vector)}, Field{"posted", posted[vector / 64], 0},
        Field{"outstanding", posted[4] & 1, 0});
  with_posted();
  send_command(0, to_self | 0x61);
  enter();
  end_of_interrupt();
  check(names[1], Field{"reason", exit_reason(), reason::external},
        Field{"event", get(vmcs::exit_event), event_valid | 0x61});
  with_posted();
  send_command(0, to_self | notification);
  check_finished(names[2]);
}

}  // namespace

void check_virtual_apic() {
  enable_apic(false);
  task_priority();
  accesses();
  registers_of_apic();
  x2apic();
  delivery();
  posted_interrupts();
}

}  // namespace guest
