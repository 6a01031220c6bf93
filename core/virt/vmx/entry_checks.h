#pragma once

// The checks that VM entry makes (SDM vol. 3, 26.2 and 26.3), as lists of rules in the manual's order. What a list's failure
// means is for VM entry: VMfailValid(7) for the controls, VMfailValid(8) for the host state, an exit for the guest state.

#include "core/virt/vmx/capabilities.h"
#include "core/virt/vmx/guest_state.h"

namespace bunshin::vmx {

struct EntryContext {
  const Capabilities& capabilities;
  const Vmcs& vmcs;
  const Controls& c;
  /// Only for the guest's rules, and those of events to inject.
  const GuestState& g;
  u64 efer_writable = 0;
  u64 debugctl_writable = 0;
  unsigned linear_bits = 48;
  bool long_mode = false;  ///< IA-32e mode is active at the time of the entry

  bool physical(u64 address) const { return address >> capabilities.physical_bits == 0; }
  bool page(u64 address) const { return (address & 0xfff) == 0 && physical(address); }
  bool canonical(u64 address) const { return is_canonical(address, linear_bits); }
};

struct EntryRule {
  /// As the manual puts it, for messages and tests.
  std::string_view text;
  bool (*holds)(const EntryContext&);
  /// Exit qualification of an entry that fails at it (26.8).
  u8 qualification = 0;
};

/// What is no list's, but checked with memory's contents (26.3.1.6, 26.4).
inline constexpr std::string_view pdptes_rule = "Present PDPTEs must have no reserved bit set, if they are used";
inline constexpr std::string_view msr_loading_rule = "The MSRs of the VM-entry MSR-load area must be loadable";

std::span<const EntryRule> execution_control_rules();   ///< 26.2.1.1
std::span<const EntryRule> transition_control_rules();  ///< 26.2.1.2 and 26.2.1.3
std::span<const EntryRule> host_rules();                ///< 26.2.2 to 26.2.4
std::span<const EntryRule> guest_register_rules();      ///< 26.3.1.1, 26.3.1.3, 26.3.1.4
std::span<const EntryRule> guest_segment_rules();       ///< 26.3.1.2
std::span<const EntryRule> guest_state_rules();         ///< 26.3.1.5: what is not in registers

/// The first rule that does not hold; null: all do.
const EntryRule* first_broken(std::span<const EntryRule> rules, const EntryContext& context);
/// Of all three lists of the guest's.
const EntryRule* first_broken_of_guest(const EntryContext& context);

/// An EPTP that VM entry and VMFUNC take (24.6.11).
bool is_eptp(u64 value, const Capabilities& capabilities);
/// Values that IA32_PAT may have (11.12.4).
bool is_pat(u64 value);
/// 26.3.1.6: a present one has no reserved bit set.
bool are_pdptes(const std::array<u64, 4>& pdptes, unsigned physical_bits);

}  // namespace bunshin::vmx
