#include "core/profile.h"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>

namespace bunshin {
namespace {

struct FeatureName {
  Feature feature;
  std::string_view name;
};

constexpr FeatureName feature_names_table[] = {
    {Feature::Base, "base"},
    {Feature::Fpu, "fpu"},
    {Feature::Vme, "vme"},
    {Feature::De, "de"},
    {Feature::Pse, "pse"},
    {Feature::Tsc, "tsc"},
    {Feature::Msr, "msr"},
    {Feature::Pae, "pae"},
    {Feature::Mce, "mce"},
    {Feature::Cx8, "cx8"},
    {Feature::Apic, "apic"},
    {Feature::Sep, "sep"},
    {Feature::Mtrr, "mtrr"},
    {Feature::Pge, "pge"},
    {Feature::Mca, "mca"},
    {Feature::Cmov, "cmov"},
    {Feature::Pat, "pat"},
    {Feature::Pse36, "pse36"},
    {Feature::Clflush, "clflush"},
    {Feature::Mmx, "mmx"},
    {Feature::Fxsr, "fxsr"},
    {Feature::Sse, "sse"},
    {Feature::Sse2, "sse2"},
    {Feature::Syscall, "syscall"},
    {Feature::Nx, "nx"},
    {Feature::Pdpe1gb, "pdpe1gb"},
    {Feature::Rdtscp, "rdtscp"},
    {Feature::Lm, "lm"},
    {Feature::LahfLm, "lahf_lm"},
    {Feature::Sse3, "pni"},
    {Feature::Pclmulqdq, "pclmulqdq"},
    {Feature::Monitor, "monitor"},
    {Feature::Ssse3, "ssse3"},
    {Feature::Cx16, "cx16"},
    {Feature::Pcid, "pcid"},
    {Feature::Sse41, "sse4_1"},
    {Feature::Sse42, "sse4_2"},
    {Feature::X2apic, "x2apic"},
    {Feature::Movbe, "movbe"},
    {Feature::Popcnt, "popcnt"},
    {Feature::TscDeadline, "tsc_deadline_timer"},
    {Feature::Aes, "aes"},
    {Feature::Xsave, "xsave"},
    {Feature::Rdrand, "rdrand"},
    {Feature::Rdseed, "rdseed"},
    {Feature::Lzcnt, "abm"},
    {Feature::Prefetchw, "3dnowprefetch"},
    {Feature::Fsgsbase, "fsgsbase"},
    {Feature::TscAdjust, "tsc_adjust"},
    {Feature::Bmi1, "bmi1"},
    {Feature::Bmi2, "bmi2"},
    {Feature::Adx, "adx"},
    {Feature::Smep, "smep"},
    {Feature::Smap, "smap"},
    {Feature::Erms, "erms"},
    {Feature::Invpcid, "invpcid"},
    {Feature::Umip, "umip"},
    {Feature::Pku, "pku"},
    {Feature::La57, "la57"},
    {Feature::Clflushopt, "clflushopt"},
    {Feature::Clwb, "clwb"},
    {Feature::Rdpid, "rdpid"},
    {Feature::Sha, "sha_ni"},
    {Feature::Xsaveopt, "xsaveopt"},
    {Feature::Xsavec, "xsavec"},
    {Feature::Xgetbv1, "xgetbv1"},
    {Feature::InvariantTsc, "constant_tsc"},
    {Feature::Arat, "arat"},
    {Feature::ArchCapabilities, "arch_capabilities"},
    {Feature::Avx, "avx"},
    {Feature::Avx2, "avx2"},
    {Feature::Fma, "fma"},
    {Feature::F16c, "f16c"},
    {Feature::Aperfmperf, "aperfmperf"},
    {Feature::Topoext, "topoext"},
    {Feature::AltMovCr8, "cr8_legacy"},
    {Feature::Vmx, "vmx"},
    {Feature::Svm, "svm"},
    {Feature::Skinit, "skinit"},
    {Feature::Npt, "npt"},
    {Feature::Lbrv, "lbrv"},
    {Feature::SvmLock, "svm_lock"},
    {Feature::NripSave, "nrip_save"},
    {Feature::TscScale, "tsc_scale"},
    {Feature::VmcbClean, "vmcb_clean"},
    {Feature::Flushbyasid, "flushbyasid"},
    {Feature::DecodeAssists, "decodeassists"},
    {Feature::Pausefilter, "pausefilter"},
    {Feature::Pfthreshold, "pfthreshold"},
    {Feature::VVmsaveVmload, "v_vmsave_vmload"},
    {Feature::Vgif, "vgif"},
    {Feature::VirtualNmis, "vnmi"},
    {Feature::PreemptionTimer, "preemption_timer"},
    {Feature::PostedInterrupts, "posted_intr"},
    {Feature::Vtpr, "vtpr"},
    {Feature::MonitorTrapFlag, "mtf"},
    {Feature::VmxTrueControls, "vmx_true_ctls"},
    {Feature::VmxSecondary, "vmx_secondary_ctls"},
    {Feature::VirtualApicAccess, "vapic"},
    {Feature::DescriptorTableExiting, "vmx_desc_exiting"},
    {Feature::VirtualX2apic, "vapic_x2apic"},
    {Feature::ApicRegisterVirtualization, "vapic_reg"},
    {Feature::VirtualInterruptDelivery, "vid"},
    {Feature::VmxLoadPat, "vmx_load_pat"},
    {Feature::VmxLoadEfer, "vmx_load_efer"},
    {Feature::Ept, "ept"},
    {Feature::EptExecuteOnly, "ept_x_only"},
    {Feature::EptAccessedDirty, "ept_ad"},
    {Feature::Ept1Gb, "ept_1gb"},
    {Feature::Ept5Level, "ept_5level"},
    {Feature::Vpid, "vpid"},
    {Feature::UnrestrictedGuest, "unrestricted_guest"},
    {Feature::Ple, "ple"},
    {Feature::Vmfunc, "vmfunc"},
    {Feature::EptpSwitching, "eptp_switching"},
    {Feature::ShadowVmcs, "shadow_vmcs"},
    {Feature::Pml, "pml"},
    {Feature::EptViolationVe, "ept_violation_ve"},
    {Feature::ModeBasedExecute, "ept_mode_based_exec"},
    {Feature::TscScaling, "tsc_scaling"},
};

static_assert(
    [] {
      unsigned i = 0;
      for (const FeatureName& f : feature_names_table) {
        if (static_cast<unsigned>(f.feature) != i++) return false;
      }
      return i == static_cast<unsigned>(Feature::Count);
    }(),
    "the table is indexed by feature");

struct Prerequisite {
  Feature feature;
  Feature needs;
};

/// What no processor has one without the other of, because one is defined in terms of the other.
constexpr Prerequisite prerequisites[] = {
    {Feature::Lm, Feature::Pae},
    {Feature::Lm, Feature::Msr},
    {Feature::Syscall, Feature::Msr},
    {Feature::Nx, Feature::Pae},
    {Feature::Pdpe1gb, Feature::Lm},
    {Feature::Pcid, Feature::Lm},
    {Feature::La57, Feature::Lm},
    {Feature::Pku, Feature::Lm},
    {Feature::Fsgsbase, Feature::Lm},
    {Feature::X2apic, Feature::Apic},
    {Feature::X2apic, Feature::Msr},
    {Feature::TscDeadline, Feature::Apic},
    {Feature::TscDeadline, Feature::Tsc},
    {Feature::TscAdjust, Feature::Tsc},
    {Feature::Rdtscp, Feature::Tsc},
    {Feature::Sse, Feature::Fxsr},
    {Feature::Fxsr, Feature::Fpu},
    {Feature::Mmx, Feature::Fpu},
    {Feature::Sse2, Feature::Sse},
    {Feature::Sse3, Feature::Sse2},
    {Feature::Ssse3, Feature::Sse3},
    {Feature::Sse41, Feature::Ssse3},
    {Feature::Sse42, Feature::Sse41},
    {Feature::Aes, Feature::Sse2},
    {Feature::Pclmulqdq, Feature::Sse2},
    {Feature::Sha, Feature::Ssse3},
    {Feature::Xsave, Feature::Fxsr},
    {Feature::Xsaveopt, Feature::Xsave},
    {Feature::Xsavec, Feature::Xsave},
    {Feature::Xgetbv1, Feature::Xsave},
    {Feature::Pse36, Feature::Pse},
    {Feature::Mca, Feature::Mce},
    {Feature::Mtrr, Feature::Msr},
    {Feature::Pat, Feature::Msr},
    {Feature::Sep, Feature::Msr},
    {Feature::ArchCapabilities, Feature::Msr},
    {Feature::Avx, Feature::Xsave},
    {Feature::Avx2, Feature::Avx},
    {Feature::Fma, Feature::Avx},
    {Feature::F16c, Feature::Avx},
    {Feature::Svm, Feature::Lm},
    {Feature::Skinit, Feature::Svm},
    {Feature::Npt, Feature::Svm},
    {Feature::Lbrv, Feature::Svm},
    {Feature::SvmLock, Feature::Svm},
    {Feature::NripSave, Feature::Svm},
    {Feature::TscScale, Feature::Svm},
    {Feature::VmcbClean, Feature::Svm},
    {Feature::Flushbyasid, Feature::Svm},
    {Feature::DecodeAssists, Feature::Svm},
    {Feature::Pausefilter, Feature::Svm},
    {Feature::Pfthreshold, Feature::Pausefilter},
    {Feature::VVmsaveVmload, Feature::Npt},
    {Feature::Vgif, Feature::Svm},
    {Feature::Vtpr, Feature::Vmx},
    {Feature::VirtualNmis, Feature::Vmx},
    {Feature::PreemptionTimer, Feature::Vmx},
    {Feature::MonitorTrapFlag, Feature::Vmx},
    {Feature::VmxTrueControls, Feature::Vmx},
    {Feature::VmxSecondary, Feature::Vmx},
    {Feature::VmxLoadPat, Feature::Vmx},
    {Feature::VmxLoadEfer, Feature::Vmx},
    {Feature::VirtualApicAccess, Feature::VmxSecondary},
    {Feature::VirtualApicAccess, Feature::Vtpr},
    {Feature::DescriptorTableExiting, Feature::VmxSecondary},
    {Feature::VirtualX2apic, Feature::VirtualApicAccess},
    {Feature::ApicRegisterVirtualization, Feature::VirtualApicAccess},
    {Feature::VirtualInterruptDelivery, Feature::ApicRegisterVirtualization},
    {Feature::PostedInterrupts, Feature::VirtualInterruptDelivery},
    {Feature::Ept, Feature::VmxSecondary},
    {Feature::EptExecuteOnly, Feature::Ept},
    {Feature::EptAccessedDirty, Feature::Ept},
    {Feature::Ept1Gb, Feature::Ept},
    {Feature::Ept5Level, Feature::Ept},
    {Feature::Vpid, Feature::VmxSecondary},
    {Feature::UnrestrictedGuest, Feature::Ept},
    {Feature::Ple, Feature::VmxSecondary},
    {Feature::Vmfunc, Feature::VmxSecondary},
    {Feature::EptpSwitching, Feature::Vmfunc},
    {Feature::EptpSwitching, Feature::Ept},
    {Feature::ShadowVmcs, Feature::VmxSecondary},
    {Feature::Pml, Feature::EptAccessedDirty},
    {Feature::EptViolationVe, Feature::Ept},
    {Feature::ModeBasedExecute, Feature::Ept},
    {Feature::TscScaling, Feature::VmxSecondary},
    {Feature::Vmx, Feature::Msr},
};

/// What only one maker's processors have.
constexpr Feature amd_features[] = {
    Feature::Topoext,     Feature::AltMovCr8,   Feature::Svm,           Feature::Skinit,
    Feature::Npt,         Feature::Lbrv,        Feature::SvmLock,       Feature::NripSave,
    Feature::TscScale,    Feature::VmcbClean,   Feature::Flushbyasid,   Feature::DecodeAssists,
    Feature::Pausefilter, Feature::Pfthreshold, Feature::VVmsaveVmload, Feature::Vgif};
constexpr Feature intel_features[] = {Feature::Vmx,
                                      Feature::VirtualNmis,
                                      Feature::PreemptionTimer,
                                      Feature::PostedInterrupts,
                                      Feature::Vtpr,
                                      Feature::MonitorTrapFlag,
                                      Feature::VmxTrueControls,
                                      Feature::VmxSecondary,
                                      Feature::VirtualApicAccess,
                                      Feature::DescriptorTableExiting,
                                      Feature::VirtualX2apic,
                                      Feature::ApicRegisterVirtualization,
                                      Feature::VirtualInterruptDelivery,
                                      Feature::VmxLoadPat,
                                      Feature::VmxLoadEfer,
                                      Feature::Ept,
                                      Feature::EptExecuteOnly,
                                      Feature::EptAccessedDirty,
                                      Feature::Ept1Gb,
                                      Feature::Ept5Level,
                                      Feature::Vpid,
                                      Feature::UnrestrictedGuest,
                                      Feature::Ple,
                                      Feature::Vmfunc,
                                      Feature::EptpSwitching,
                                      Feature::ShadowVmcs,
                                      Feature::Pml,
                                      Feature::EptViolationVe,
                                      Feature::ModeBasedExecute,
                                      Feature::TscScaling};

/// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

const FeatureName& nearest_feature(std::string_view name) {
  const FeatureName* best = feature_names_table;
  std::size_t best_distance = std::numeric_limits<std::size_t>::max();
  for (const FeatureName& f : feature_names_table) {
    const std::size_t distance = edit_distance(name, f.name);
    if (distance < best_distance) {
      best = &f;
      best_distance = distance;
    }
  }
  return *best;
}

Feature find_feature(std::string_view name) {
  for (const FeatureName& f : feature_names_table) {
    if (f.name == name) return f.feature;
  }
  throw std::runtime_error("cpu.features: unknown feature '" + std::string(name) + "'; did you mean '" +
                           std::string(nearest_feature(name).name) + "'?");
}

constexpr std::string_view vendors[] = {"GenuineIntel", "AuthenticAMD"};

}  // namespace

std::string_view feature_name(Feature f) { return feature_names_table[static_cast<unsigned>(f)].name; }

void CpuProfile::describe(ParameterVisitor& v) {
  v.choice("vendor", vendor, vendors, "CPUID vendor string; decides between Intel's and AMD's variants of behaviour");
  v.text("brand", brand, "CPUID brand string, at most 47 characters");
  v.integer("family", family, {4, 270}, "", "CPUID family, extended family included");
  v.integer("model", model, {0, 255}, "", "CPUID model, extended model included");
  v.integer("stepping", stepping, {0, 15}, "", "CPUID stepping");
  v.integer("physical_bits", physical_bits, {32, 52}, "bits", "width of a physical address (MAXPHYADDR)");
  v.integer("frequency", frequency, {1'000'000, 10'000'000'000}, "Hz", "core and time-stamp counter frequency");
  v.integer("crystal", crystal, {1'000'000, 1'000'000'000}, "Hz", "local APIC timer frequency (CPUID leaf 0x15)");
  v.integer("pause_cycles", pause_cycles, {1, 1000}, "cycles", "latency of PAUSE, which idle and spin loops wait with");
  v.integer("highest_leaf", highest_leaf, {0, 0x20}, "",
            "Highest basic CPUID leaf, where the simulator has it; 0: all that the vendor's processors have.");
  v.integer("highest_extended_leaf", highest_extended_leaf, {0, 0x8000'0021}, "",
            "Highest extended CPUID leaf (0x80000008 …); 0: all that the vendor's processors have.");
  v.list("features", feature_names,
         "features by their Linux /proc/cpuinfo names; an empty list means everything the simulator has");
}

// Family beyond 15 and model beyond 15 go to the extended fields (SDM vol. 2, figure 3-6).
u32 CpuProfile::signature() const {
  const u64 base = std::min<u64>(family, 15);
  return static_cast<u32>((family - base) << 20 | (model >> 4) << 16 | base << 8 | (model & 15) << 4 | stepping);
}

void CpuProfile::resolve() {
  if (brand.size() > 47) {
    throw std::runtime_error("cpu.brand: '" + brand + "' is longer than 47 characters; shorten it");
  }
  features.reset();
  if (feature_names.empty()) {
    features.set();
    for (const Feature f : amd_features) features.set(static_cast<unsigned>(f), !intel());
    for (const Feature f : intel_features) features.set(static_cast<unsigned>(f), intel());
  }
  for (const std::string& name : feature_names) {
    features.set(static_cast<unsigned>(find_feature(name)));
  }
  features.set(static_cast<unsigned>(Feature::Base));
  for (const Prerequisite& p : prerequisites) {
    if (has(p.feature) && !has(p.needs)) {
      throw std::runtime_error("cpu.features: '" + std::string(feature_name(p.feature)) + "' needs '" +
                               std::string(feature_name(p.needs)) + "'; add it or drop the former");
    }
  }
}

}  // namespace bunshin
