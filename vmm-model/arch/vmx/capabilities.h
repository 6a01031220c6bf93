#pragma once

// What this processor's VT-x can do (SDM vol. 3, appendix A), boiled down to what the back end decides by.

#include <string_view>

#include "vmm-model/arch/vmx/vmcs.h"
#include "vmm-model/hardware.h"

namespace bunshin::vmm::vmx {

/// The words of controls (24.6.1, 24.6.2, 24.7.1, 24.8.1).
struct ControlWords {
  u32 pin = 0, primary = 0, secondary = 0, exit = 0, entry = 0;
};

struct Capabilities {
  u32 revision = 0;
  /// What every guest starts with: all that must be 1, all that the back end needs, and of the rest what it likes and there is.
  ControlWords start;
  /// Bits that cannot be 0 again.
  ControlWords must;
  u64 cr0_fixed0 = 0, cr4_fixed0 = 0, cr4_fixed1 = 0;
  u64 ept_vpid = 0;  ///< IA32_VMX_EPT_VPID_CAP
  bool ept = false, unrestricted_guest = false, vpid = false;
  bool load_pat = false;
  bool tpr_shadow = false, msr_bitmaps = false;

  bool can(u64 ept_vpid_bit) const { return (ept_vpid & ept_vpid_bit) != 0; }
};

/// What is missing, as the end of a sentence; empty: nothing.
std::string_view read_capabilities(Hardware& hardware, Capabilities& capabilities);

}  // namespace bunshin::vmm::vmx
