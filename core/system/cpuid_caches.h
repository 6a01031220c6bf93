#pragma once

// The leaves of CPUID that tell of caches (SDM vol. 2, CPUID; AMD APM vol. 3, app. E), from the geometry in the profile.

#include "core/profile.h"
#include "core/system/cpuid.h"

namespace bunshin {

inline constexpr u32 cache_line = 64;

/// Bits of an APIC id that number the cores of the package.
u32 core_id_bits(const CpuProfile& profile);

/// Leaf 2 of a processor whose highest basic leaf is `highest`: TLBs; caches only where there is no leaf 4 to tell them.
CpuidResult cache_descriptors(const CpuProfile& profile, u32 highest);
/// Leaf 4, and AMD's leaf 8000001DH.
CpuidResult cache_leaf(const CpuProfile& profile, u32 subleaf);
/// AMD's leaf 80000005H: L1 caches and TLBs.
CpuidResult amd_l1_leaf(const CpuProfile& profile);
/// Leaf 80000006H: L2, and with AMD L3 and the second level of TLBs.
CpuidResult lower_caches_leaf(const CpuProfile& profile);

}  // namespace bunshin
