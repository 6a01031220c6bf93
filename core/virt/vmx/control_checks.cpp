// Checks on VMX controls (SDM vol. 3, 26.2.1).

#include <algorithm>

#include "core/virt/vmx/entry_checks.h"

namespace bunshin::vmx {
namespace {

using C = EntryContext;

/// VTPR, which a threshold is compared with if nothing recomputes it before.
bool threshold_within_vtpr(const C& x) {
  constexpr u64 tpr_offset = 0x80;
  const Controls& c = x.c;
  if (!c.has(primary::tpr_shadow) || c.also(secondary::apic_accesses) || c.also(secondary::interrupt_delivery))
    return true;
  return (c.tpr_threshold & 0xf) <= x.vmcs.read_byte(c.virtual_apic + tpr_offset) >> 4;
}

bool eptp_is_valid(const EntryContext& x) { return is_eptp(x.c.ept_pointer, x.capabilities); }

// clang-format off
constexpr EntryRule execution_rules[] = {
    {"Reserved bits in the pin-based VM-execution controls must be set properly",
     [](const C& x) { return x.capabilities.pin.allows(x.c.pin); }},
    {"Reserved bits in the primary processor-based VM-execution controls must be set properly",
     [](const C& x) { return x.capabilities.primary.allows(x.c.primary); }},
    {"Reserved bits in the secondary processor-based VM-execution controls must be cleared",
     [](const C& x) { return !x.c.has(primary::secondary) || x.capabilities.secondary.allows(x.c.secondary); }},
    {"The CR3-target count must not be greater than 4",
     [](const C& x) { return x.c.cr3_target_count <= Capabilities::most_cr3_targets; }},
    {"use I/O bitmaps: the addresses are aligned and within the physical-address width",
     [](const C& x) { return !x.c.has(primary::io_bitmaps) || (x.page(x.c.io_bitmap_a) && x.page(x.c.io_bitmap_b)); }},
    {"use MSR bitmaps: the address is aligned and within the physical-address width",
     [](const C& x) { return !x.c.has(primary::msr_bitmaps) || x.page(x.c.msr_bitmaps); }},
    {"use TPR shadow: the virtual-APIC address is aligned and within the physical-address width",
     [](const C& x) { return !x.c.has(primary::tpr_shadow) || x.page(x.c.virtual_apic); }},
    {"use TPR shadow, no virtual-interrupt delivery: bits 31:4 of the TPR threshold must be 0",
     [](const C& x) {
       return !x.c.has(primary::tpr_shadow) || x.c.also(secondary::interrupt_delivery) || x.c.tpr_threshold >> 4 == 0;
     }},
    {"The TPR threshold must not be greater than bits 7:4 of VTPR", threshold_within_vtpr},
    {"virtual NMIs needs NMI exiting",
     [](const C& x) { return x.c.has_pin(pin::nmi) || !x.c.has_pin(pin::virtual_nmis); }},
    {"NMI-window exiting needs virtual NMIs",
     [](const C& x) { return x.c.has_pin(pin::virtual_nmis) || !x.c.has(primary::nmi_window); }},
    {"virtualize APIC accesses: the APIC-access address is aligned and within the physical-address width",
     [](const C& x) { return !x.c.also(secondary::apic_accesses) || x.page(x.c.apic_access); }},
    {"virtualize x2APIC mode, APIC-register virtualization and virtual-interrupt delivery need use TPR shadow",
     [](const C& x) {
       constexpr u32 need = secondary::x2apic | secondary::apic_registers | secondary::interrupt_delivery;
       return x.c.has(primary::tpr_shadow) || !x.c.also(need);
     }},
    {"virtualize x2APIC mode excludes virtualize APIC accesses",
     [](const C& x) { return !x.c.also(secondary::x2apic) || !x.c.also(secondary::apic_accesses); }},
    {"virtual-interrupt delivery needs external-interrupt exiting",
     [](const C& x) { return !x.c.also(secondary::interrupt_delivery) || x.c.has_pin(pin::external_interrupt); }},
    {"process posted interrupts needs virtual-interrupt delivery and acknowledge interrupt on exit",
     [](const C& x) {
       return !x.c.has_pin(pin::posted_interrupts) ||
              (x.c.also(secondary::interrupt_delivery) && x.c.on_exit(exit_control::acknowledge_interrupt));
     }},
    {"process posted interrupts: the notification vector is at most 255",
     [](const C& x) { return !x.c.has_pin(pin::posted_interrupts) || x.c.posted_vector <= 255; }},
    {"process posted interrupts: bits 5:0 of the descriptor address are 0, and it is within the physical-address width",
     [](const C& x) {
       return !x.c.has_pin(pin::posted_interrupts) ||
              ((x.c.posted_descriptor & 0x3f) == 0 && x.physical(x.c.posted_descriptor));
     }},
    {"enable VPID: the VPID must not be 0", [](const C& x) { return !x.c.also(secondary::vpid) || x.c.vpid != 0; }},
    {"enable EPT: the EPTP must be supported", [](const C& x) { return !x.c.also(secondary::ept) || eptp_is_valid(x); }},
    {"enable PML needs enable EPT",
     [](const C& x) { return !x.c.also(secondary::pml) || x.c.also(secondary::ept); }},
    {"enable PML: the address is aligned and within the physical-address width",
     [](const C& x) { return !x.c.also(secondary::pml) || x.page(x.c.pml_address); }},
    {"unrestricted guest and mode-based execute control need enable EPT",
     [](const C& x) {
       return x.c.also(secondary::ept) || !x.c.also(secondary::unrestricted_guest | secondary::mode_based_execute);
     }},
    {"enable VM functions: reserved bits of the VM-function controls must be clear",
     [](const C& x) { return (x.c.vm_functions & ~x.capabilities.vm_functions) == 0; }},
    {"EPTP switching needs enable EPT, and an aligned list within the physical-address width",
     [](const C& x) { return (x.c.vm_functions & 1) == 0 || (x.c.also(secondary::ept) && x.page(x.c.eptp_list)); }},
    {"VMCS shadowing: the bitmap addresses are aligned and within the physical-address width",
     [](const C& x) {
       return !x.c.also(secondary::shadow_vmcs) || (x.page(x.c.vmread_bitmap) && x.page(x.c.vmwrite_bitmap));
     }},
    {"use TSC scaling: the TSC multiplier must not be 0",
     [](const C& x) { return !x.c.also(secondary::tsc_scaling) || x.c.tsc_multiplier != 0; }},
    {"EPT-violation #VE: the information address is aligned and within the physical-address width",
     [](const C& x) { return !x.c.also(secondary::virtualization_exception) || x.page(x.c.ve_information); }},
};
// clang-format on

/// An area of MSRs: aligned, and its last byte too within the physical-address width. A count beyond what the simulator
/// stands for is refused here, as the manual lets a processor do anything with it.
bool msr_area_is_valid(const C& x, Field address_field, Field count_field) {
  const u32 count = x.vmcs.read32(count_field);
  if (count == 0) return true;
  const u64 address = x.vmcs.read(address_field);
  if (count > Capabilities::most_msrs || (address & 0xf) != 0 || !x.physical(address)) return false;
  return x.physical(address + count * u64{16} - 1);
}

bool injects(const C& x) { return (x.g.interruption & interruption::valid) != 0; }
u32 type_of(const C& x) { return interruption::type_of(x.g.interruption); }
u32 vector_of(const C& x) { return x.g.interruption & 0xff; }
bool by_software(u32 type) { return type >= interruption::software && type <= interruption::software_exception; }

bool type_is_valid(const C& x) {
  const u32 type = type_of(x);
  if (type == 1) return false;
  return type != interruption::other || (x.capabilities.primary.may & primary::monitor_trap_flag) != 0;
}

bool vector_fits_type(const C& x) {
  switch (type_of(x)) {
    case interruption::nmi: return vector_of(x) == 2;
    case interruption::hardware: return vector_of(x) <= 31;
    case interruption::other: return vector_of(x) == 0;
    default: return true;
  }
}

bool error_code_fits_vector(const C& x) {
  constexpr u32 with_code = 1u << 8 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 13 | 1u << 14 | 1u << 17;
  const bool protected_guest = !x.c.also(secondary::unrestricted_guest) || (x.g.cr0 & cr0::PE) != 0;
  const bool wanted = protected_guest && type_of(x) == interruption::hardware && vector_of(x) < 32 &&
                      (with_code >> vector_of(x) & 1) != 0;
  return ((x.g.interruption & interruption::error_code) != 0) == wanted;
}

bool length_fits_type(const C& x) {
  if (!by_software(type_of(x))) return true;
  return x.g.instruction_length <= 15 && (x.g.instruction_length != 0 || x.capabilities.injects_length_zero());
}

// clang-format off
constexpr EntryRule transition_rules[] = {
    {"Reserved bits in the VM-exit controls must be set properly",
     [](const C& x) { return x.capabilities.exit.allows(x.c.exit); }},
    {"save VMX-preemption-timer value needs activate VMX-preemption timer",
     [](const C& x) {
       return x.c.has_pin(pin::preemption_timer) || !x.c.on_exit(exit_control::save_preemption_timer);
     }},
    {"The VM-exit MSR-store address and count",
     [](const C& x) { return msr_area_is_valid(x, Field::ExitMsrStoreAddress, Field::ExitMsrStoreCount); }},
    {"The VM-exit MSR-load address and count",
     [](const C& x) { return msr_area_is_valid(x, Field::ExitMsrLoadAddress, Field::ExitMsrLoadCount); }},
    {"Reserved bits in the VM-entry controls must be set properly",
     [](const C& x) { return x.capabilities.entry.allows(x.c.entry); }},
    {"Outside SMM, entry to SMM and deactivate dual-monitor treatment must be 0",
     [](const C& x) {
       return !x.c.on_entry(entry_control::to_smm | entry_control::deactivate_dual_monitor);
     }},
    {"The interruption type must not be reserved", [](const C& x) { return !injects(x) || type_is_valid(x); }},
    {"The vector must fit the interruption type", [](const C& x) { return !injects(x) || vector_fits_type(x); }},
    {"deliver error code must fit the type, the vector and CR0.PE",
     [](const C& x) { return !injects(x) || error_code_fits_vector(x); }},
    {"Reserved bits of the VM-entry interruption-information field must be 0",
     [](const C& x) { return !injects(x) || (x.g.interruption & 0x7fff'f000) == 0; }},
    {"Bits 31:16 of the VM-entry exception error code must be 0",
     [](const C& x) {
       return !injects(x) || (x.g.interruption & interruption::error_code) == 0 || x.g.error_code >> 16 == 0;
     }},
    {"The VM-entry instruction length must fit the type", [](const C& x) { return !injects(x) || length_fits_type(x); }},
    {"The VM-entry MSR-load address and count",
     [](const C& x) { return msr_area_is_valid(x, Field::EntryMsrLoadAddress, Field::EntryMsrLoadCount); }},
};
// clang-format on

}  // namespace

std::span<const EntryRule> execution_control_rules() { return execution_rules; }
std::span<const EntryRule> transition_control_rules() { return transition_rules; }

const EntryRule* first_broken(std::span<const EntryRule> rules, const EntryContext& context) {
  for (const EntryRule& rule : rules) {
    if (!rule.holds(context)) return &rule;
  }
  return nullptr;
}

bool is_eptp(u64 value, const Capabilities& capabilities) {
  const u64 type = value & 7;
  const bool type_allowed = (type == 0 && (capabilities.ept_vpid & ept_vpid_cap::uncacheable) != 0) ||
                            (type == 6 && (capabilities.ept_vpid & ept_vpid_cap::write_back) != 0);
  const unsigned levels = eptp::levels(value);
  const bool levels_allowed = (levels == 4 && (capabilities.ept_vpid & ept_vpid_cap::four_levels) != 0) ||
                              (levels == 5 && (capabilities.ept_vpid & ept_vpid_cap::five_levels) != 0);
  const bool has_ad = (capabilities.ept_vpid & ept_vpid_cap::accessed_dirty) != 0;
  const u64 reserved = 0xf80 | (has_ad ? 0 : eptp::accessed_dirty);
  return type_allowed && levels_allowed && (value & reserved) == 0 && value >> capabilities.physical_bits == 0;
}

}  // namespace bunshin::vmx
