#pragma once

// What a profile's VMX can do, as IA32_VMX_* tell it (SDM vol. 3, appendix A).

#include "core/profile.h"
#include "core/virt/vmx/controls.h"

namespace bunshin::vmx {

/// One word of controls: bits that must be 1, and bits that may be.
struct AllowedSettings {
  u32 must = 0;
  u32 may = 0;

  constexpr bool allows(u32 value) const { return (value & must) == must && (value & ~may) == 0; }
  /// As the MSR has it.
  constexpr u64 msr() const { return u64{may} << 32 | must; }
};

struct Capabilities {
  explicit Capabilities(const CpuProfile& profile);

  u64 basic = 0;
  /// Of the IA32_VMX_TRUE_*_CTLS if the profile has them.
  AllowedSettings pin, primary, secondary, exit, entry;
  bool true_controls = false;
  u64 misc = 0;
  u64 cr0_fixed0 = 0, cr0_fixed1 = 0, cr4_fixed0 = 0, cr4_fixed1 = 0;
  u64 vmcs_enumeration = 0, ept_vpid = 0, vm_functions = 0;
  unsigned physical_bits = 46;

  u32 revision() const { return static_cast<u32>(basic) & 0x7fff'ffff; }
  /// The VMX-preemption timer counts once in 2^this of the TSC's cycles.
  unsigned preemption_timer_shift() const { return misc & 0x1f; }
  bool writes_read_only_fields() const { return (misc >> 29 & 1) != 0; }
  bool injects_length_zero() const { return (misc >> 30 & 1) != 0; }
  /// Highest number of MSRs in an area that the manual recommends, and the simulator allows.
  static constexpr u32 most_msrs = 512;
  static constexpr u32 most_cr3_targets = 4;

  /// The MSR of this index (480H to 493H). False: the profile does not have it.
  bool read_msr(const CpuProfile& profile, u32 index, u64& value) const;
};

/// Bits of IA32_VMX_EPT_VPID_CAP (A.10).
namespace ept_vpid_cap {
inline constexpr u64 execute_only = 1u << 0, four_levels = 1u << 6, five_levels = 1u << 7, uncacheable = 1u << 8,
                     write_back = 1u << 14, large_pages = 1u << 16, gigabyte_pages = 1u << 17, invept = 1u << 20,
                     accessed_dirty = 1u << 21, invept_single = 1u << 25, invept_all = 1u << 26, invvpid = u64{1} << 32,
                     invvpid_address = u64{1} << 40, invvpid_single = u64{1} << 41, invvpid_all = u64{1} << 42,
                     invvpid_single_keep_globals = u64{1} << 43;
}

/// IA32_FEATURE_CONTROL as firmware leaves it (24.7 "Enabling and entering VMX operation"): locked, VMX outside SMX if there is VMX.
inline u64 feature_control(const CpuProfile& profile) {
  constexpr u64 locked = 1, vmx_outside_smx = 4;
  return profile.has(Feature::Vmx) ? locked | vmx_outside_smx : locked;
}

}  // namespace bunshin::vmx
