#pragma once

// The VM-execution, VM-exit and VM-entry controls (SDM vol. 3, 24.6 to 24.8), as names of bits, and what those of the running
// guest say, read once at VM entry.

#include <array>

#include "core/virt/vmx/vmcs.h"

namespace bunshin::vmx {

namespace pin {
inline constexpr u32 external_interrupt = 1u << 0, nmi = 1u << 3, virtual_nmis = 1u << 5, preemption_timer = 1u << 6,
                     posted_interrupts = 1u << 7;
}
namespace primary {
inline constexpr u32 interrupt_window = 1u << 2, tsc_offsetting = 1u << 3, hlt = 1u << 7, invlpg = 1u << 9,
                     mwait = 1u << 10, rdpmc = 1u << 11, rdtsc = 1u << 12, cr3_load = 1u << 15, cr3_store = 1u << 16,
                     cr8_load = 1u << 19, cr8_store = 1u << 20, tpr_shadow = 1u << 21, nmi_window = 1u << 22,
                     mov_dr = 1u << 23, unconditional_io = 1u << 24, io_bitmaps = 1u << 25,
                     monitor_trap_flag = 1u << 27, msr_bitmaps = 1u << 28, monitor = 1u << 29, pause = 1u << 30,
                     secondary = 1u << 31;
}
namespace secondary {
inline constexpr u32 apic_accesses = 1u << 0, ept = 1u << 1, descriptor_tables = 1u << 2, rdtscp = 1u << 3,
                     x2apic = 1u << 4, vpid = 1u << 5, wbinvd = 1u << 6, unrestricted_guest = 1u << 7,
                     apic_registers = 1u << 8, interrupt_delivery = 1u << 9, pause_loop = 1u << 10, rdrand = 1u << 11,
                     invpcid = 1u << 12, vm_functions = 1u << 13, shadow_vmcs = 1u << 14, rdseed = 1u << 16,
                     pml = 1u << 17, virtualization_exception = 1u << 18, mode_based_execute = 1u << 22,
                     tsc_scaling = 1u << 25;
}
namespace exit_control {
inline constexpr u32 save_debug = 1u << 2, host_address_space = 1u << 9, acknowledge_interrupt = 1u << 15,
                     save_pat = 1u << 18, load_pat = 1u << 19, save_efer = 1u << 20, load_efer = 1u << 21,
                     save_preemption_timer = 1u << 22;
}
namespace entry_control {
inline constexpr u32 load_debug = 1u << 2, ia32e_guest = 1u << 9, to_smm = 1u << 10, deactivate_dual_monitor = 1u << 11,
                     load_pat = 1u << 14, load_efer = 1u << 15;
}
/// Guest interruptibility state (24.4.2).
namespace interruptibility {
inline constexpr u32 sti = 1, mov_ss = 2, smi = 4, nmi = 8, enclave = 16;
}
/// Format of the three interruption-information fields (24.8.3, 24.9.2, 24.9.3).
namespace interruption {
enum Type : u32 {
  external = 0,
  nmi = 2,
  hardware = 3,
  software = 4,
  privileged_software = 5,
  software_exception = 6,
  other = 7
};
inline constexpr u32 error_code = 1u << 11, nmi_unblocking = 1u << 12, valid = 1u << 31;
constexpr u32 type_of(u32 information) { return information >> 8 & 7; }
}  // namespace interruption
/// EPTP (24.6.11).
namespace eptp {
inline constexpr u64 accessed_dirty = 1u << 6, root = 0x000f'ffff'ffff'f000;
constexpr unsigned levels(u64 value) { return static_cast<unsigned>(value >> 3 & 7) + 1; }
}  // namespace eptp

struct Controls {
  u32 pin = 0, primary = 0, secondary = 0, exit = 0, entry = 0;
  u32 exception_bitmap = 0, page_fault_mask = 0, page_fault_match = 0;
  u32 cr3_target_count = 0;
  std::array<u64, 4> cr3_targets{};
  u64 cr0_mask = 0, cr0_shadow = 0, cr4_mask = 0, cr4_shadow = 0;
  u64 io_bitmap_a = 0, io_bitmap_b = 0, msr_bitmaps = 0;
  u64 tsc_offset = 0, tsc_multiplier = 0;
  u64 virtual_apic = 0, apic_access = 0;
  u32 tpr_threshold = 0;
  u16 vpid = 0, posted_vector = 0;
  u64 posted_descriptor = 0;
  std::array<u64, 4> eoi_exit_bitmap{};
  u64 ept_pointer = 0, eptp_list = 0, vm_functions = 0;
  u64 pml_address = 0, vmread_bitmap = 0, vmwrite_bitmap = 0, ve_information = 0;
  u32 ple_gap = 0, ple_window = 0;

  bool has_pin(u32 bit) const { return (pin & bit) != 0; }
  bool has(u32 primary_bit) const { return (primary & primary_bit) != 0; }
  /// Of the secondary controls, which are all 0 unless activated.
  bool also(u32 secondary_bit) const { return (secondary & secondary_bit) != 0; }
  bool on_exit(u32 bit) const { return (exit & bit) != 0; }
  bool on_entry(u32 bit) const { return (entry & bit) != 0; }
};

/// Bits of CR0 that VM entry and exit leave alone: ET, CD, NW and those that are reserved (26.3.2.1, 27.5.1).
inline constexpr u64 cr0_kept = 0x7ffa'ffd0;

/// Reads what the controls that are set make meaningful.
Controls read_controls(const Vmcs& vmcs);

}  // namespace bunshin::vmx
