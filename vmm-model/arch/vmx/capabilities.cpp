#include "vmm-model/arch/vmx/capabilities.h"

namespace bunshin::vmm::vmx {

namespace {

constexpr u32 vmx_feature = 1 << 5;
constexpr u64 locked = 1, vmx_outside_smx = 4;

/// One word of controls: the low half of its MSR must be 1, the high half may be (A.3 to A.5).
struct Allowed {
  u32 must = 0, may = 0;

  explicit Allowed(u64 value) : must(static_cast<u32>(value)), may(static_cast<u32>(value >> 32)) {}
  /// False: something that is needed there is not.
  bool choose(u32 needed, u32 liked, u32& word) const {
    word = must | needed | (liked & may);
    return (needed & ~may) == 0;
  }
};

/// CR3 accesses are intercepted where it is needed; a processor without the true controls does it always.
constexpr u32 needed_pin = pin::external_interrupt | pin::nmi;
constexpr u32 needed_primary = primary::interrupt_window | primary::hlt | primary::invlpg | primary::rdpmc |
                               primary::mwait | primary::monitor | primary::unconditional_io | primary::cr3_load |
                               primary::cr3_store;
constexpr u32 liked_primary = primary::tpr_shadow | primary::msr_bitmaps | primary::secondary;
constexpr u32 liked_secondary = secondary::rdtscp | secondary::wbinvd;
constexpr u32 toggled_primary = primary::interrupt_window | primary::cr3_load | primary::cr3_store | primary::invlpg;

void read_second_stage(Hardware& hardware, Capabilities& c, const Allowed& second) {
  const bool any = (second.may & (secondary::ept | secondary::vpid)) != 0;
  c.ept_vpid = any ? hardware.read_msr(vmx_msr::ept_vpid) : 0;
  c.ept = (second.may & secondary::ept) != 0 && c.can(ept_vpid::four_levels) && c.can(ept_vpid::write_back) &&
          c.can(ept_vpid::large_pages) && c.can(ept_vpid::invept_single | ept_vpid::invept_all);
  c.unrestricted_guest = c.ept && (second.may & secondary::unrestricted_guest) != 0;
  c.vpid = (second.may & secondary::vpid) != 0 && c.can(ept_vpid::invvpid_single | ept_vpid::invvpid_all);
}

}  // namespace

std::string_view read_capabilities(Hardware& hardware, Capabilities& c) {
  constexpr u64 true_controls = u64{1} << 55;
  if ((hardware.cpuid(1, 0).ecx & vmx_feature) == 0) return "it has none (CPUID 1:ECX.VMX)";
  const u64 feature_control = hardware.read_msr(vmx_msr::feature_control);
  if ((feature_control & locked) != 0 && (feature_control & vmx_outside_smx) == 0) {
    return "disabled by firmware (IA32_FEATURE_CONTROL is locked without VMX)";
  }
  if ((feature_control & locked) == 0) {
    hardware.write_msr(vmx_msr::feature_control, feature_control | locked | vmx_outside_smx);
  }
  const u64 basic = hardware.read_msr(vmx_msr::basic);
  const bool exact = (basic & true_controls) != 0;
  const Allowed pin_bits(hardware.read_msr(exact ? vmx_msr::true_pin : vmx_msr::pin));
  const Allowed primary_bits(hardware.read_msr(exact ? vmx_msr::true_primary : vmx_msr::primary));
  const Allowed exit_bits(hardware.read_msr(exact ? vmx_msr::true_exit : vmx_msr::exit));
  const Allowed entry_bits(hardware.read_msr(exact ? vmx_msr::true_entry : vmx_msr::entry));
  const bool has_secondary = (primary_bits.may & primary::secondary) != 0;
  const Allowed secondary_bits(has_secondary ? hardware.read_msr(vmx_msr::secondary) : 0);
  c.revision = static_cast<u32>(basic) & 0x7fff'ffff;
  c.tpr_shadow = (primary_bits.may & primary::tpr_shadow) != 0;
  c.msr_bitmaps = (primary_bits.may & primary::msr_bitmaps) != 0;
  c.load_pat = (exit_bits.may & exit_control::load_pat) != 0 && (entry_bits.may & entry_control::load_pat) != 0;
  // Without the shadow of the task priority, CR8 is intercepted.
  const u32 task_priority = c.tpr_shadow ? 0 : primary::cr8_load | primary::cr8_store;
  const bool good = pin_bits.choose(needed_pin, 0, c.start.pin) &&
                    primary_bits.choose(needed_primary | task_priority, liked_primary, c.start.primary) &&
                    secondary_bits.choose(0, liked_secondary, c.start.secondary) &&
                    exit_bits.choose(exit_control::host_address_space | exit_control::save_debug, 0, c.start.exit) &&
                    entry_bits.choose(entry_control::load_debug | entry_control::ia32e_guest, 0, c.start.entry);
  if (!good) return "it lacks a control that every guest needs (IA32_VMX_PINBASED_CTLS to IA32_VMX_ENTRY_CTLS)";
  c.must = {pin_bits.must, primary_bits.must, secondary_bits.must, exit_bits.must, entry_bits.must};
  c.start.primary &= ~toggled_primary | c.must.primary;
  c.start.entry &= ~entry_control::ia32e_guest | c.must.entry;
  read_second_stage(hardware, c, secondary_bits);
  c.cr0_fixed0 = hardware.read_msr(vmx_msr::cr0_fixed0);
  c.cr4_fixed0 = hardware.read_msr(vmx_msr::cr4_fixed0);
  c.cr4_fixed1 = hardware.read_msr(vmx_msr::cr4_fixed1);
  return {};
}

}  // namespace bunshin::vmm::vmx
