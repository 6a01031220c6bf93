#include "core/virt/vmx/capabilities.h"

#include <span>

#include "core/state.h"
#include "core/system/control_registers.h"

namespace bunshin::vmx {
namespace {

struct FeatureBit {
  Feature feature;
  u32 bit;
};

u32 collect(const CpuProfile& profile, std::span<const FeatureBit> bits) {
  u32 value = 0;
  for (const FeatureBit& b : bits) {
    if (profile.has(b.feature)) value |= b.bit;
  }
  return value;
}

/// The default1 classes (A.2 to A.5): bits that are 1 unless IA32_VMX_TRUE_*_CTLS say that they may be 0.
constexpr u32 pin_default1 = 0x16, primary_default1 = 0x0401'e172, exit_default1 = 0x0003'6dff,
              entry_default1 = 0x0000'11ff;
/// … and those of them that may.
constexpr u32 primary_optional = primary::cr3_load | primary::cr3_store, exit_optional = exit_control::save_debug,
              entry_optional = entry_control::load_debug;

constexpr FeatureBit pin_bits[] = {
    {Feature::Vmx, pin::external_interrupt | pin::nmi},
    {Feature::VirtualNmis, pin::virtual_nmis},
    {Feature::PreemptionTimer, pin::preemption_timer},
    {Feature::PostedInterrupts, pin::posted_interrupts},
};
constexpr FeatureBit primary_bits[] = {
    {Feature::Vmx, primary::interrupt_window | primary::tsc_offsetting | primary::hlt | primary::invlpg |
                       primary::mwait | primary::rdpmc | primary::rdtsc | primary::cr3_load | primary::cr3_store |
                       primary::mov_dr | primary::unconditional_io | primary::io_bitmaps | primary::msr_bitmaps |
                       primary::monitor | primary::pause},
    {Feature::Lm, primary::cr8_load | primary::cr8_store},
    {Feature::Vtpr, primary::tpr_shadow},
    {Feature::VirtualNmis, primary::nmi_window},
    {Feature::MonitorTrapFlag, primary::monitor_trap_flag},
    {Feature::VmxSecondary, primary::secondary},
};
constexpr FeatureBit secondary_bits[] = {
    {Feature::VmxSecondary, secondary::wbinvd},
    {Feature::VirtualApicAccess, secondary::apic_accesses},
    {Feature::Ept, secondary::ept},
    {Feature::DescriptorTableExiting, secondary::descriptor_tables},
    {Feature::VirtualX2apic, secondary::x2apic},
    {Feature::Vpid, secondary::vpid},
    {Feature::UnrestrictedGuest, secondary::unrestricted_guest},
    {Feature::ApicRegisterVirtualization, secondary::apic_registers},
    {Feature::VirtualInterruptDelivery, secondary::interrupt_delivery},
    {Feature::Ple, secondary::pause_loop},
    {Feature::Vmfunc, secondary::vm_functions},
    {Feature::ShadowVmcs, secondary::shadow_vmcs},
    {Feature::Pml, secondary::pml},
    {Feature::EptViolationVe, secondary::virtualization_exception},
    {Feature::ModeBasedExecute, secondary::mode_based_execute},
    {Feature::TscScaling, secondary::tsc_scaling},
};
/// Controls of instructions that the processor must have to begin with.
constexpr FeatureBit instruction_bits[] = {
    {Feature::Rdtscp, secondary::rdtscp},
    {Feature::Rdrand, secondary::rdrand},
    {Feature::Rdseed, secondary::rdseed},
    {Feature::Invpcid, secondary::invpcid},
};
constexpr FeatureBit exit_bits[] = {
    {Feature::Vmx, exit_control::acknowledge_interrupt | exit_control::save_debug},
    {Feature::Lm, exit_control::host_address_space},
    {Feature::VmxLoadPat, exit_control::save_pat | exit_control::load_pat},
    {Feature::VmxLoadEfer, exit_control::save_efer | exit_control::load_efer},
    {Feature::PreemptionTimer, exit_control::save_preemption_timer},
};
constexpr FeatureBit entry_bits[] = {
    {Feature::Vmx, entry_control::load_debug},
    {Feature::Lm, entry_control::ia32e_guest},
    {Feature::VmxLoadPat, entry_control::load_pat},
    {Feature::VmxLoadEfer, entry_control::load_efer},
};

/// IA32_VMX_BASIC (A.1). The revision is our own; regions take a page, write-back; INS and OUTS tell of themselves.
u64 basic_msr(bool true_controls) {
  constexpr u64 layout_revision = 1, write_back = 6, instruction_information = u64{1} << 54,
                has_true_controls = u64{1} << 55;
  // A size of 4096 takes bit 12 of the field.
  return layout_revision | u64{page_size} << 32 | write_back << 50 | instruction_information |
         (true_controls ? has_true_controls : 0);
}

/// IA32_VMX_MISC (A.6).
u64 misc_msr(const CpuProfile& profile) {
  constexpr u64 timer_shift = 5, saves_lma = 1u << 5, activity_states = 7u << 6, cr3_targets = 4u << 16,
                writes_all = 1u << 29, length_zero = 1u << 30;
  return (profile.has(Feature::PreemptionTimer) ? timer_shift : 0) |
         (profile.has(Feature::UnrestrictedGuest) ? saves_lma : 0) | activity_states | cr3_targets |
         (profile.has(Feature::ShadowVmcs) ? writes_all : 0) | (profile.has(Feature::TscScaling) ? length_zero : 0);
}

u64 ept_vpid_msr(const CpuProfile& profile) {
  using namespace ept_vpid_cap;
  u64 value = 0;
  if (profile.has(Feature::Ept)) {
    value |= four_levels | uncacheable | write_back | large_pages | invept | invept_single | invept_all;
    if (profile.has(Feature::EptExecuteOnly)) value |= execute_only;
    if (profile.has(Feature::Ept5Level)) value |= five_levels;
    if (profile.has(Feature::Ept1Gb)) value |= gigabyte_pages;
    if (profile.has(Feature::EptAccessedDirty)) value |= accessed_dirty;
  }
  if (profile.has(Feature::Vpid))
    value |= invvpid | invvpid_address | invvpid_single | invvpid_all | invvpid_single_keep_globals;
  return value;
}

/// The older MSRs, in which all of a default1 class must be 1.
AllowedSettings without_true(AllowedSettings settings, u32 default1) {
  settings.must |= default1;
  return settings;
}

}  // namespace

Capabilities::Capabilities(const CpuProfile& profile) {
  true_controls = profile.has(Feature::VmxTrueControls);
  basic = basic_msr(true_controls);
  const auto optional = [this](u32 bits) { return true_controls ? bits : 0; };
  pin = {pin_default1, pin_default1 | collect(profile, pin_bits)};
  primary = {primary_default1 & ~optional(primary_optional), primary_default1 | collect(profile, primary_bits)};
  secondary = {0, collect(profile, secondary_bits)};
  if (profile.has(Feature::VmxSecondary)) secondary.may |= collect(profile, instruction_bits);
  exit = {exit_default1 & ~optional(exit_optional), exit_default1 | collect(profile, exit_bits)};
  entry = {entry_default1 & ~optional(entry_optional), entry_default1 | collect(profile, entry_bits)};
  misc = misc_msr(profile);
  cr0_fixed0 = cr0::PE | cr0::NE | cr0::PG;
  cr0_fixed1 = 0xffff'ffff;
  cr4_fixed0 = cr4::VMXE;
  cr4_fixed1 = cr4_writable(profile);
  vmcs_enumeration = u64{highest_field_index(profile)} << 1;
  ept_vpid = ept_vpid_msr(profile);
  vm_functions = profile.has(Feature::EptpSwitching) ? 1 : 0;
  physical_bits = static_cast<unsigned>(profile.physical_bits);
}

bool Capabilities::read_msr(const CpuProfile& profile, u32 index, u64& value) const {
  const bool has_secondary = profile.has(Feature::VmxSecondary);
  switch (index) {
    case 0x480: value = basic; return true;
    case 0x481: value = without_true(pin, pin_default1).msr(); return true;
    case 0x482: value = without_true(primary, primary_default1).msr(); return true;
    case 0x483: value = without_true(exit, exit_default1).msr(); return true;
    case 0x484: value = without_true(entry, entry_default1).msr(); return true;
    case 0x485: value = misc; return true;
    case 0x486: value = cr0_fixed0; return true;
    case 0x487: value = cr0_fixed1; return true;
    case 0x488: value = cr4_fixed0; return true;
    case 0x489: value = cr4_fixed1; return true;
    case 0x48a: value = vmcs_enumeration; return true;
    case 0x48b: value = secondary.msr(); return has_secondary;
    case 0x48c: value = ept_vpid; return ept_vpid != 0;
    case 0x48d: value = pin.msr(); return true_controls;
    case 0x48e: value = primary.msr(); return true_controls;
    case 0x48f: value = exit.msr(); return true_controls;
    case 0x490: value = entry.msr(); return true_controls;
    case 0x491: value = vm_functions; return vm_functions != 0;
    default: return false;
  }
}

}  // namespace bunshin::vmx
