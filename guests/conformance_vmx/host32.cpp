// Entries and exits of a host in 32-bit protected mode (Intel SDM vol. 3, "Checks on host segment and descriptor-table
// registers", "Checks related to address-space size", "Loading host segment and descriptor-table registers").

#include "guests/conformance_vmx/machine.h"
#include "guests/runtime/segments.h"

extern "C" {
guest::u64 vmx_enter_from_32_bits(guest::u64 pae_pointers);
extern char vmx_exit_to_32_bits[];
extern guest::u64 vmxon_pointer, vmcs_pointer;
}

namespace guest {

namespace {

constexpr u64 host_error = 8;
constexpr u64 efer_of_long_mode = 0x500, cr4_pcide = 1u << 17;

/// A guest of 32 bits whose host would be one, too.
void prepare_32(Code code) {
  prepare(Mode::Pae, code);
  reset(vmcs::exit_controls, exit_control::host_64);
  put(vmcs::host_efer, read_msr(msr_efer) & ~efer_of_long_mode);
  put(vmcs::host_cr3, reinterpret_cast<u64>(pae_pointers));
  put(vmcs::host_cs, code32_selector);
  put(vmcs::host_rip, reinterpret_cast<u64>(vmx_exit_to_32_bits));
}

u64 enter_32() {
  vmxon_pointer = reinterpret_cast<u64>(&vmxon_region);
  vmcs_pointer = reinterpret_cast<u64>(&region);
  vmclear(vmcs_pointer);
  asm volatile("vmxoff" : : : "memory", "cc");
  const u64 flags = vmx_enter_from_32_bits(reinterpret_cast<u64>(pae_pointers));
  vmxon(vmxon_pointer);
  vmptrld(vmcs_pointer);
  return flags;
}

void check_refused_32(const char* name) {
  const u64 flags = enter_32();
  check_error(name, flags, host_error);
}

}  // namespace

void check_host_of_32_bits() {
  begin_group("32-bit host");
  prepare_32("\x90"_code);
  const u64 flags = enter_32();
  check("guest of 32 bits", Field{"flags", flags, succeeded}, Field{"reason", exit_reason(), reason::vmcall},
        Field{"rip", code_offset(), 1});
  prepare_32("\x0f\xa2"_code);
  enter_32();
  check("exit of cpuid", Field{"reason", exit_reason(), reason::cpuid}, Field{"rip", code_offset(), 0});
  prepare_32(""_code);
  set(vmcs::exit_controls, exit_control::host_64);
  check_refused_32("host address-space size set");
  prepare_32(""_code);
  set(vmcs::entry_controls, entry_control::guest_64);
  check_refused_32("ia-32e mode guest set");
  prepare_32(""_code);
  put(vmcs::host_ss, 0);
  check_refused_32("ss 0");
  prepare_32(""_code);
  set(vmcs::host_rip, u64{1} << 32);
  check_refused_32("rip above 32 bits");
  if ((read_msr(msr_cr4_fixed1) & cr4_pcide) == 0) return absent("cr4.pcide");
  prepare_32(""_code);
  set(vmcs::host_cr4, cr4_pcide);
  check_refused_32("cr4.pcide");
}

}  // namespace guest
