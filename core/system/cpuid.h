#pragma once

// CPUID (SDM vol. 2, CPUID; AMD APM vol. 3, app. E): the profile as software sees it.

#include <span>

#include "core/cpu.h"

namespace bunshin {

struct CpuidResult {
  u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuidResult cpuid_leaf(const Cpu& cpu, u32 leaf, u32 subleaf);

/// Where CPUID tells of a feature.
struct CpuidFeatureBit {
  u32 leaf = 0;
  u32 subleaf = 0;
  Gpr reg = RAX;
  u8 bit = 0;
  Feature feature = Feature::Base;
};
std::span<const CpuidFeatureBit> cpuid_feature_bits();

/// One state component of the XSAVE area (SDM vol. 1, 13.4); `offset` is in the standard format, in bytes.
struct XsaveComponent {
  unsigned number = 0;
  u32 offset = 0;
  u32 size = 0;
  Feature feature = Feature::Xsave;
};
/// Components 2 and up that any profile may have, by number. The legacy region and header take the first 576 bytes.
std::span<const XsaveComponent> xsave_components();
inline constexpr u32 xsave_legacy_bytes = 576;
/// Bits of XCR0 that the profile supports.
u64 xcr0_supported(const CpuProfile& profile);
/// Bytes of the standard-format area for the components in `mask`.
u32 xsave_standard_bytes(u64 mask);
/// … and of the compacted format, each component behind the one before it.
u32 xsave_compacted_bytes(u64 mask);

}  // namespace bunshin
