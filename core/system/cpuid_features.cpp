// The tables behind CPUID: feature bits and XSAVE components.

#include "core/system/cpuid.h"

namespace bunshin {
namespace {

constexpr CpuidFeatureBit feature_bits[] = {
    {1, 0, RDX, 0, Feature::Fpu},
    {1, 0, RDX, 1, Feature::Vme},
    {1, 0, RDX, 2, Feature::De},
    {1, 0, RDX, 3, Feature::Pse},
    {1, 0, RDX, 4, Feature::Tsc},
    {1, 0, RDX, 5, Feature::Msr},
    {1, 0, RDX, 6, Feature::Pae},
    {1, 0, RDX, 7, Feature::Mce},
    {1, 0, RDX, 8, Feature::Cx8},
    {1, 0, RDX, 9, Feature::Apic},
    {1, 0, RDX, 11, Feature::Sep},
    {1, 0, RDX, 12, Feature::Mtrr},
    {1, 0, RDX, 13, Feature::Pge},
    {1, 0, RDX, 14, Feature::Mca},
    {1, 0, RDX, 15, Feature::Cmov},
    {1, 0, RDX, 16, Feature::Pat},
    {1, 0, RDX, 17, Feature::Pse36},
    {1, 0, RDX, 19, Feature::Clflush},
    {1, 0, RDX, 23, Feature::Mmx},
    {1, 0, RDX, 24, Feature::Fxsr},
    {1, 0, RDX, 25, Feature::Sse},
    {1, 0, RDX, 26, Feature::Sse2},
    {1, 0, RCX, 0, Feature::Sse3},
    {1, 0, RCX, 1, Feature::Pclmulqdq},
    {1, 0, RCX, 3, Feature::Monitor},
    {1, 0, RCX, 5, Feature::Vmx},
    {1, 0, RCX, 9, Feature::Ssse3},
    {1, 0, RCX, 12, Feature::Fma},
    {1, 0, RCX, 13, Feature::Cx16},
    {1, 0, RCX, 17, Feature::Pcid},
    {1, 0, RCX, 19, Feature::Sse41},
    {1, 0, RCX, 20, Feature::Sse42},
    {1, 0, RCX, 21, Feature::X2apic},
    {1, 0, RCX, 22, Feature::Movbe},
    {1, 0, RCX, 23, Feature::Popcnt},
    {1, 0, RCX, 24, Feature::TscDeadline},
    {1, 0, RCX, 25, Feature::Aes},
    {1, 0, RCX, 26, Feature::Xsave},
    {1, 0, RCX, 28, Feature::Avx},
    {1, 0, RCX, 29, Feature::F16c},
    {1, 0, RCX, 30, Feature::Rdrand},
    {6, 0, RAX, 2, Feature::Arat},
    {6, 0, RCX, 0, Feature::Aperfmperf},
    {7, 0, RBX, 0, Feature::Fsgsbase},
    {7, 0, RBX, 1, Feature::TscAdjust},
    {7, 0, RBX, 3, Feature::Bmi1},
    {7, 0, RBX, 5, Feature::Avx2},
    {7, 0, RBX, 7, Feature::Smep},
    {7, 0, RBX, 8, Feature::Bmi2},
    {7, 0, RBX, 9, Feature::Erms},
    {7, 0, RBX, 10, Feature::Invpcid},
    {7, 0, RBX, 18, Feature::Rdseed},
    {7, 0, RBX, 19, Feature::Adx},
    {7, 0, RBX, 20, Feature::Smap},
    {7, 0, RBX, 23, Feature::Clflushopt},
    {7, 0, RBX, 24, Feature::Clwb},
    {7, 0, RBX, 29, Feature::Sha},
    {7, 0, RCX, 2, Feature::Umip},
    {7, 0, RCX, 3, Feature::Pku},
    {7, 0, RCX, 16, Feature::La57},
    {7, 0, RCX, 22, Feature::Rdpid},
    // IBRS and IBPB come with the register that says they are not needed.
    {7, 0, RDX, 26, Feature::ArchCapabilities},
    {7, 0, RDX, 29, Feature::ArchCapabilities},
    {0xd, 1, RAX, 0, Feature::Xsaveopt},
    {0xd, 1, RAX, 1, Feature::Xsavec},
    {0xd, 1, RAX, 2, Feature::Xgetbv1},
    {0x8000'0001, 0, RCX, 0, Feature::LahfLm},
    {0x8000'0001, 0, RCX, 2, Feature::Svm},
    {0x8000'0001, 0, RCX, 4, Feature::AltMovCr8},
    {0x8000'0001, 0, RCX, 5, Feature::Lzcnt},
    {0x8000'0001, 0, RCX, 8, Feature::Prefetchw},
    {0x8000'0001, 0, RCX, 12, Feature::Skinit},
    {0x8000'0001, 0, RCX, 22, Feature::Topoext},
    {0x8000'0001, 0, RDX, 11, Feature::Syscall},
    {0x8000'0001, 0, RDX, 20, Feature::Nx},
    {0x8000'0001, 0, RDX, 26, Feature::Pdpe1gb},
    {0x8000'0001, 0, RDX, 27, Feature::Rdtscp},
    {0x8000'0001, 0, RDX, 29, Feature::Lm},
    {0x8000'000a, 0, RDX, 0, Feature::Npt},
    {0x8000'000a, 0, RDX, 1, Feature::Lbrv},
    {0x8000'000a, 0, RDX, 2, Feature::SvmLock},
    {0x8000'000a, 0, RDX, 3, Feature::NripSave},
    {0x8000'000a, 0, RDX, 4, Feature::TscScale},
    {0x8000'000a, 0, RDX, 5, Feature::VmcbClean},
    {0x8000'000a, 0, RDX, 6, Feature::Flushbyasid},
    {0x8000'000a, 0, RDX, 7, Feature::DecodeAssists},
    {0x8000'000a, 0, RDX, 10, Feature::Pausefilter},
    {0x8000'000a, 0, RDX, 12, Feature::Pfthreshold},
    {0x8000'000a, 0, RDX, 15, Feature::VVmsaveVmload},
    {0x8000'000a, 0, RDX, 16, Feature::Vgif},
    {0x8000'0007, 0, RDX, 8, Feature::InvariantTsc},
};

/// Offsets as on processors that also have the AVX-512 components between these (SDM vol. 1, 13.5).
constexpr XsaveComponent components[] = {
    {2, 576, 256, Feature::Avx},
    {9, 2688, 8, Feature::Pku},
};

}  // namespace

std::span<const CpuidFeatureBit> cpuid_feature_bits() { return feature_bits; }

std::span<const XsaveComponent> xsave_components() { return components; }

u64 xcr0_supported(const CpuProfile& profile) {
  if (!profile.has(Feature::Xsave)) return 0;
  u64 mask = 3;
  for (const XsaveComponent& c : components) {
    if (profile.has(c.feature)) mask |= u64{1} << c.number;
  }
  return mask;
}

u32 xsave_standard_bytes(u64 mask) {
  u32 bytes = xsave_legacy_bytes;
  for (const XsaveComponent& c : components) {
    if ((mask >> c.number & 1) != 0) bytes = c.offset + c.size;
  }
  return bytes;
}

u32 xsave_compacted_bytes(u64 mask) {
  u32 bytes = xsave_legacy_bytes;
  for (const XsaveComponent& c : components) {
    if ((mask >> c.number & 1) != 0) bytes += c.size;
  }
  return bytes;
}

}  // namespace bunshin
