// What a world switch costs: a guest that does one thing over and over, and a hypervisor with null handlers, which enters it
// again without a look. One line for each cause, "world_switch CAUSE CYCLES", cycles of the time-stamp counter for an exit and
// the entry behind it.

#include "guests/hypervisor/hypervisor.h"
#include "guests/runtime/console.h"

extern "C" {
void trap_vmcall();
void trap_vmmcall();
void trap_cpuid();
void trap_hlt();
void trap_in();
void trap_rdmsr();
void trap_cr3();
void trap_fault();
void trap_second_stage();
}

namespace {

using guest::u64;

constexpr u64 warm_up = 20, rounds = 1000, stack_bytes = 4096;
alignas(16) guest::u8 stack[stack_bytes];

struct Cause {
  const char* name;
  void (*trap)();
  u64 vmx_reason, svm_code;
  bool nested = false;
};

constexpr Cause causes[] = {
    {"cpuid", trap_cpuid, 10, 0x72},
    {"hlt", trap_hlt, 12, 0x78},
    {"in", trap_in, 30, 0x7b},
    {"rdmsr", trap_rdmsr, 31, 0x7c},
    {"write_cr3", trap_cr3, 28, 0x13},
    {"page_fault", trap_fault, 0, 0x4e},
    {"second_stage", trap_second_stage, 48, 0x400, true},
};

/// False: the guest was left for something else.
bool measure(const Cause& cause) {
  const guest::HostPages pages = cause.nested ? guest::HostPages::Large : guest::HostPages::None;
  guest::prepare_guest(cause.trap, reinterpret_cast<u64>(stack + stack_bytes), pages, true);
  guest::round_trips(warm_up);
  const u64 cycles = guest::round_trips(rounds);
  const u64 expected = guest::has_vmx() ? cause.vmx_reason : cause.svm_code;
  if (guest::last_exit() != expected) {
    guest::print("world_switch ", cause.name, ": exit ", guest::last_exit(), " instead of ", expected, "\n");
    return false;
  }
  guest::print("world_switch ", cause.name, " ", cycles / rounds, "\n");
  return true;
}

}  // namespace

guest::u32 kernel_main() {
  if (!guest::start_hypervisor()) {
    guest::print("world_switch: the processor has neither VT-x nor AMD-V\n");
    return 1;
  }
  const bool vmx = guest::has_vmx();
  bool good = measure({vmx ? "vmcall" : "vmmcall", vmx ? trap_vmcall : trap_vmmcall, 18, 0x81});
  for (const Cause& cause : causes) {
    if (!cause.nested || guest::has_nested_paging()) good = measure(cause) && good;
  }
  if (vmx) {
    guest::print("world_switch vmread ", guest::vmreads(rounds) / rounds, "\n");
    guest::print("world_switch vmwrite ", guest::vmwrites(rounds) / rounds, "\n");
  }
  return good ? 0 : 1;
}
