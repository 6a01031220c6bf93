#pragma once

#include "vmm-model/hardware.h"

namespace bunshin::vmm {

/// CPUID as a guest sees it: the machine's, without what is not virtualized, and one processor in the package.
CpuidResult guest_cpuid(Hardware& hardware, u32 leaf, u32 subleaf, bool os_xsave);

/// MAXPHYADDR (CPUID 80000008H), 36 if the processor does not say.
u8 physical_bits(Hardware& hardware);

}  // namespace bunshin::vmm
