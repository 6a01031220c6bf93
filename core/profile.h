#pragma once

// What kind of processor this is: identity, features, sizes. Everything CPUID tells and everything a row of the opcode
// table may depend on. Filled from configs/cpu/*.yaml.

#include <bitset>
#include <string>
#include <string_view>
#include <vector>

#include "base/parameters.h"
#include "base/types.h"

namespace bunshin {

/// Instruction-set and system features, by their Linux /proc/cpuinfo names in core/profile.cpp.
enum class Feature : u8 {
  Base,  ///< always present: 80386 and what every 64-bit processor has beyond it
  Fpu,
  Vme,
  De,
  Pse,
  Tsc,
  Msr,
  Pae,
  Mce,
  Cx8,
  Apic,
  Sep,
  Mtrr,
  Pge,
  Mca,
  Cmov,
  Pat,
  Pse36,
  Clflush,
  Mmx,
  Fxsr,
  Sse,
  Sse2,
  Syscall,
  Nx,
  Pdpe1gb,
  Rdtscp,
  Lm,
  LahfLm,
  Sse3,
  Pclmulqdq,
  Monitor,
  Ssse3,
  Cx16,
  Pcid,
  Sse41,
  Sse42,
  X2apic,
  Movbe,
  Popcnt,
  TscDeadline,
  Aes,
  Xsave,
  Rdrand,
  Rdseed,
  Lzcnt,
  Prefetchw,
  Fsgsbase,
  TscAdjust,
  Bmi1,
  Bmi2,
  Adx,
  Smep,
  Smap,
  Erms,
  Invpcid,
  Umip,
  Pku,
  La57,
  Clflushopt,
  Clwb,
  Rdpid,
  Sha,
  Xsaveopt,
  Xsavec,
  Xgetbv1,
  InvariantTsc,
  Arat,
  ArchCapabilities,
  Avx,
  Avx2,
  Fma,
  F16c,
  Aperfmperf,
  Topoext,
  AltMovCr8,
  Vmx,
  Svm,
  Skinit,
  Npt,
  Lbrv,
  SvmLock,
  NripSave,
  TscScale,
  VmcbClean,
  Flushbyasid,
  DecodeAssists,
  Pausefilter,
  Pfthreshold,
  VVmsaveVmload,
  Vgif,
  // Of VMX, by /proc/cpuinfo's "vmx flags" where they have a name there.
  VirtualNmis,
  PreemptionTimer,
  PostedInterrupts,
  Vtpr,
  MonitorTrapFlag,
  VmxTrueControls,
  VmxSecondary,
  VirtualApicAccess,
  DescriptorTableExiting,
  VirtualX2apic,
  ApicRegisterVirtualization,
  VirtualInterruptDelivery,
  VmxLoadPat,
  VmxLoadEfer,
  Ept,
  EptExecuteOnly,
  EptAccessedDirty,
  Ept1Gb,
  Ept5Level,
  Vpid,
  UnrestrictedGuest,
  Ple,
  Vmfunc,
  EptpSwitching,
  ShadowVmcs,
  Pml,
  EptViolationVe,
  ModeBasedExecute,
  TscScaling,
  Count
};

/// A cache as CPUID tells of it: bytes, ways, the cores that share it. Size 0: there is none.
struct CacheGeometry {
  u64 size = 0, ways = 1, cores = 1;
  bool inclusive = false;  ///< of the levels above
};

/// The entries of a TLB as CPUID tells of them, by size of page.
struct TlbGeometry {
  struct Array {
    u64 entries = 0, ways = 1;
    bool operator==(const Array&) const = default;
  };
  Array small, large, giant;
};

struct CpuProfile {
  std::string vendor = "GenuineIntel";
  std::string brand = "Bunshin x86-64 processor";
  u64 family = 6, model = 85, stepping = 7;
  u64 physical_bits = 46;
  u64 frequency = 2'000'000'000;  ///< of the core and of the TSC, Hz
  u64 crystal = 25'000'000;       ///< of the local APIC timer, Hz; CPUID leaf 0x15
  /// Logical processors of the machine, one thread a core; what CPUID's topology leaves tell. Set by whoever builds the
  /// machine, not by the processor's own configuration.
  u64 cores = 1;
  /// What CPUID's cache leaves tell; set like `cores`.
  CacheGeometry l1d{u64{32} << 10, 8}, l1i{u64{32} << 10, 8}, l2{u64{1} << 20, 16}, l3{u64{8} << 20, 16};
  TlbGeometry l1d_tlb, l1i_tlb, l2_tlb;    ///< without entries: not told
  u64 highest_leaf = 0;                    ///< of CPUID; 0: what the simulator has for the vendor
  u64 highest_extended_leaf = 0;           ///< the same above 8000'0000H
  u64 pause_cycles = 1;                    ///< that PAUSE takes
  std::vector<std::string> feature_names;  ///< as configured; empty: everything the simulator has
  std::bitset<static_cast<unsigned>(Feature::Count)> features;

  bool has(Feature f) const { return features[static_cast<unsigned>(f)]; }
  bool intel() const { return vendor == "GenuineIntel"; }
  /// Family, model and stepping as CPUID.1:EAX has them, and EDX after RESET.
  u32 signature() const;
  unsigned linear_bits() const { return has(Feature::La57) ? 57 : 48; }
  void describe(ParameterVisitor& v);
  /// Derives `features` from `feature_names`. Throws std::runtime_error naming an unknown feature and the nearest one,
  /// or a feature whose prerequisite is missing.
  void resolve();
};

/// The feature's Linux /proc/cpuinfo name.
std::string_view feature_name(Feature f);

}  // namespace bunshin
