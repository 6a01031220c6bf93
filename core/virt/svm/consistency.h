#pragma once

// What VMRUN refuses with VMEXIT_INVALID (AMD APM vol. 2, 15.5.1; event injection 15.20; nested paging 15.25.3 and 15.25.4).

#include <string_view>

#include "core/profile.h"
#include "core/virt/svm/vmcb.h"

namespace bunshin::svm {

/// What a check looks at besides the VMCB.
struct ConsistencyContext {
  const CpuProfile& profile;
  u64 cr4_writable = 0;
  u64 efer_writable = 0;  ///< SVME included, LMA not
  bool host_paging = false;
};

/// Found when the guest's paging begins.
inline constexpr std::string_view pdptes_rule = "a reserved bit of a PDPTE is set";

/// The first rule that the VMCB breaks, in the manual's words; empty: none.
std::string_view inconsistency(const Vmcb& vmcb, const ConsistencyContext& context);

/// The rules that #VMEXIT holds the host's state to; breaking one is a shutdown (15.6).
std::string_view state_inconsistency(const VmcbSave& save, const ConsistencyContext& context);

}  // namespace bunshin::svm
