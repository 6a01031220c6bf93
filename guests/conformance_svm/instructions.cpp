// Who may execute the instructions of SVM, and what EFER.SVME, VM_CR and VM_HSAVE_PA accept (AMD APM vol. 2, 15.4, 15.30;
// vol. 3, the instructions).

#include "guests/conformance_svm/machine.h"
#include "guests/runtime/interrupts.h"

namespace guest {

namespace {

constexpr unsigned invalid_opcode = 6, general_protection = 13;
constexpr u64 vm_cr_lock = 8, vm_cr_disable = 16;

struct Instruction {
  const char* name;
  void (*run)(u64);
  Code code;
};

constexpr Instruction instructions[] = {
    {"vmrun", [](u64 rax) { asm volatile("vmrun"
                                         :
                                         : "a"(rax)
                                         : "memory"); }, "\x0f\x01\xd8"_code},
    {"vmload", [](u64 rax) { asm volatile("vmload"
                                          :
                                          : "a"(rax)
                                          : "memory"); }, "\x0f\x01\xda"_code},
    {"vmsave", [](u64 rax) { asm volatile("vmsave"
                                          :
                                          : "a"(rax)
                                          : "memory"); }, "\x0f\x01\xdb"_code},
    {"stgi", [](u64) { asm volatile("stgi"); }, "\x0f\x01\xdc"_code},
    {"clgi", [](u64) { asm volatile("clgi; stgi"); }, "\x0f\x01\xdd"_code},
    {"invlpga", [](u64 rax) { asm volatile("invlpga %%rax, %%ecx"
                                           :
                                           : "a"(rax), "c"(0)); }, "\x0f\x01\xdf"_code},
};

u64 raised(void (*function)(u64), u64 argument) {
  const Exception e = attempt(function, argument);
  return e.raised ? e.vector : any + 1;
}
constexpr u64 none = any + 1;

void check_raises(const char* name, u64 vector, void (*function)(u64), u64 argument = 0) {
  check(name, Field{"exception", raised(function, argument), vector});
}

void write_hsave(u64 value) { write_msr(msr_hsave, value); }
void write_efer(u64 value) { write_msr(msr_efer, value); }
void write_vm_cr(u64 value) { write_msr(msr_vm_cr, value); }
void vmmcall(u64) { asm volatile("vmmcall"); }

void without_svme() {
  begin_group("svme 0");
  const u64 address = reinterpret_cast<u64>(&other_vmcb);
  for (const Instruction& each : instructions) {
    // STGI is also SKINIT's (vol. 3, STGI): where that exists it needs no EFER.SVME.
    const bool is_skinits = each.name[1] == 't' && (cpuid(0x8000'0001).ecx >> 12 & 1) != 0;
    check_raises(each.name, is_skinits ? none : invalid_opcode, each.run, address);
  }
  check_raises("vmmcall", invalid_opcode, vmmcall);
}

u64 physical_limit() { return u64{1} << (cpuid(0x8000'0008).eax & 0xff); }

void vm_cr() {
  begin_group("vm_cr");
  check("reset", Field{"value", read_msr(msr_vm_cr) & (vm_cr_lock | vm_cr_disable), 0});
  check_raises("reserved bit", general_protection, write_vm_cr, 1u << 5);
  check_raises("reserved upper half", general_protection, write_vm_cr, u64{1} << 32);
  check_raises("svmdis while svme is set", general_protection, write_vm_cr, vm_cr_disable);
  write_efer(read_msr(msr_efer) & ~efer_svme);
  check_raises("svmdis while svme is clear", none, write_vm_cr, vm_cr_disable);
  check("svmdis is kept", Field{"value", read_msr(msr_vm_cr), vm_cr_disable});
  check_raises("svme while svmdis is set", general_protection, write_efer, read_msr(msr_efer) | efer_svme);
  write_efer(read_msr(msr_efer) & ~efer_svme);
  check_raises("svmdis may be cleared again", none, write_vm_cr, 0);
  check_raises("svme then", none, write_efer, read_msr(msr_efer) | efer_svme);
  if (!has(svm_feature::lock)) return absent("lock"), absent("locked svmdis");
  write_vm_cr(vm_cr_lock);
  check("lock", Field{"value", read_msr(msr_vm_cr), vm_cr_lock});
  write_efer(read_msr(msr_efer) & ~efer_svme);
  attempt(write_vm_cr, vm_cr_disable);
  check("locked svmdis", Field{"value", read_msr(msr_vm_cr), vm_cr_lock});
  write_efer(read_msr(msr_efer) | efer_svme);
}

void registers_of_svm() {
  begin_group("registers");
  check("revision", Field{"value", cpuid(0x8000'000a).eax & 0xff, 1});
  check_true("more than one asid", cpuid(0x8000'000a).ebx > 1);
  check_raises("svme", none, write_efer, read_msr(msr_efer) | efer_svme);
  check("svme is kept", Field{"value", read_msr(msr_efer) & efer_svme, efer_svme});
  check_raises("efer with a reserved bit", general_protection, write_efer, read_msr(msr_efer) | 1u << 9);
  check_raises("hsave", none, write_hsave, 0x1000);
  check("hsave is kept", Field{"value", read_msr(msr_hsave), 0x1000});
  check_raises("hsave not aligned", general_protection, write_hsave, 0x1800);
  check_raises("hsave beyond physical memory", general_protection, write_hsave, physical_limit());
}

void operands() {
  begin_group("operands");
  const u64 address = reinterpret_cast<u64>(&other_vmcb);
  for (const Instruction& each : instructions) {
    if (each.name[2] != 'r' && each.name[2] != 'l' && each.name[2] != 's') continue;
    begin_line(each.name, ", ");
    check_raises("not aligned", general_protection, each.run, address + 8);
    begin_line(each.name, ", ");
    check_raises("beyond physical memory", general_protection, each.run, physical_limit());
  }
  check_raises("vmmcall without a guest", invalid_opcode, vmmcall);
  check_raises("stgi", none, instructions[3].run);
  check_raises("clgi", none, instructions[4].run);
  check_raises("invlpga", none, instructions[5].run, data_page);
}

void privilege() {
  begin_group("level 3");
  for (const Instruction& each : instructions) {
    prepare(each.code);
    at_level_3();
    vmcb.rax = reinterpret_cast<u64>(&other_vmcb);
    // The gates lead to level 0 by way of a stack of the host's task state segment.
    check_exception(each.name, general_protection, 0, 0);
  }
  begin_group("real mode");
  for (const Instruction& each : instructions) {
    prepare(Mode::Real, each.code);
    vmcb.exceptions = 1u << invalid_opcode;
    check_exit(each.name, {exit_code::exception + invalid_opcode});
  }
  begin_group("guest");
  prepare("\x0f\x01\xd9"_code);
  release(exit_code::vmmcall);
  vmcb.exceptions = 1u << invalid_opcode;
  check_exit("vmmcall without its intercept", {exit_code::exception + invalid_opcode});
  if ((cpuid(0x8000'0001).ecx >> 12 & 1) == 0) {
    prepare("\x0f\x01\xde"_code);
    intercept(exit_code::skinit);
    check_exception("skinit, which is not supported", invalid_opcode);
  } else {
    prepare("\x0f\x01\xde"_code);
    intercept(exit_code::skinit);
    check_exit("skinit", {exit_code::skinit, 3});
  }
}

}  // namespace

void check_instructions() {
  without_svme();
  registers_of_svm();
  vm_cr();
  start_svm();
  operands();
  privilege();
}

}  // namespace guest
