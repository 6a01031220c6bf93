#pragma once

#include "vmm-model/hardware.h"

namespace bunshin::vmm {

/// CPUID as a guest sees it: the machine's, without what is not virtualized, and one processor in the package.
CpuidResult guest_cpuid(Hardware& hardware, u32 leaf, u32 subleaf, bool os_xsave);

/// MAXPHYADDR (CPUID 80000008H), 36 if the processor does not say.
u8 physical_bits(Hardware& hardware);

/// What a guest's local APIC timer counts: the crystal of CPUID.15H where a guest is told of one (SDM vol. 3, 10.5.4), else what
/// the board has.
Clock apic_timer_clock(Hardware& hardware, Clock otherwise);

}  // namespace bunshin::vmm
