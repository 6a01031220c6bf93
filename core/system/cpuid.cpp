#include "core/system/cpuid.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>

#include "core/system/cpuid_caches.h"
#include "core/system/msr.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"
#include "core/virt/svm/svm.h"
#include "mmu/scheme.h"
#include "mmu/software_fill_registers.h"

namespace bunshin {
namespace {

constexpr u32 extended = 0x8000'0000;
u32 word_of(std::string_view text, std::size_t offset) {
  u32 word = 0;
  for (std::size_t i = 0; i < 4 && offset + i < text.size(); ++i) {
    word |= static_cast<u32>(static_cast<u8>(text[offset + i])) << (8 * i);
  }
  return word;
}

u32& register_of(CpuidResult& out, Gpr reg) {
  switch (reg) {
    case RAX: return out.eax;
    case RBX: return out.ebx;
    case RCX: return out.ecx;
    default: return out.edx;
  }
}

u32 highest_basic(const Cpu& cpu) {
  if ((cpu.state.msr.misc_enable & misc_enable::limit_cpuid) != 0) return 2;
  if (cpu.profile.highest_leaf != 0) return static_cast<u32>(cpu.profile.highest_leaf);
  return cpu.profile.intel() ? 0x16 : 0xd;
}

/// Leaves whose feature bits are dynamic: what software has switched on or off shows (SDM vol. 2, table 3-8).
CpuidResult with_features(const Cpu& cpu, u32 leaf, u32 subleaf) {
  CpuidResult out;
  for (const CpuidFeatureBit& f : cpuid_feature_bits()) {
    if (f.leaf == leaf && f.subleaf == subleaf && cpu.profile.has(f.feature)) register_of(out, f.reg) |= 1u << f.bit;
  }
  return out;
}

/// The initial APIC id is the core's number; software may change the APIC's, not this one.
CpuidResult version_leaf(const Cpu& cpu) {
  const CpuProfile& p = cpu.profile;
  CpuidResult out = with_features(cpu, 1, 0);
  out.eax = p.signature();
  out.ebx = (cache_line / 8) << 8 | (1u << core_id_bits(p)) << 16 | (cpu.number & 0xff) << 24;
  if (p.cores > 1) out.edx |= 1u << 28;
  if (!cpu.apic.globally_enabled()) out.edx &= ~(1u << 9);
  if ((cpu.state.cr4 & cr4::OSXSAVE) != 0) out.ecx |= 1u << 27;
  if (p.intel() && (cpu.state.msr.misc_enable & misc_enable::monitor) == 0) out.ecx &= ~(1u << 3);
  return out;
}

CpuidResult monitor_leaf(const CpuProfile& p) {
  if (!p.has(Feature::Monitor)) return {};
  // ECX: extensions enumerated, interrupts break even if masked. EDX: one sub-state of C1.
  return {cache_line, cache_line, 3, 1u << 4};
}

CpuidResult structured_leaf(const Cpu& cpu, u32 subleaf) {
  CpuidResult out = with_features(cpu, 7, subleaf);
  if (subleaf == 0) {
    out.eax = 1;
    if ((cpu.state.cr4 & cr4::PKE) != 0) out.ecx |= 1u << 4;
  }
  return out;
}

/// One thread a core: the thread level has one member, the core level all.
CpuidResult topology_leaf(const Cpu& cpu, u32 subleaf) {
  CpuidResult out;
  out.ecx = subleaf & 0xff;
  out.edx = cpu.number;
  if (subleaf == 0) {
    out.ebx = 1;
    out.ecx |= 1u << 8;
  } else if (subleaf == 1) {
    out.eax = core_id_bits(cpu.profile);
    out.ebx = static_cast<u32>(cpu.profile.cores);
    out.ecx |= 2u << 8;
  }
  return out;
}

CpuidResult xsave_leaf(const Cpu& cpu, u32 subleaf) {
  const u64 supported = xcr0_supported(cpu.profile);
  if (supported == 0) return {};
  if (subleaf == 0) {
    return {static_cast<u32>(supported), xsave_standard_bytes(cpu.state.xcr0), xsave_standard_bytes(supported),
            static_cast<u32>(supported >> 32)};
  }
  if (subleaf == 1) {
    CpuidResult out = with_features(cpu, 0xd, 1);
    if (cpu.profile.has(Feature::Xsavec)) out.ebx = xsave_compacted_bytes(cpu.state.xcr0);
    return out;
  }
  for (const XsaveComponent& c : xsave_components()) {
    if (c.number == subleaf && (supported >> subleaf & 1) != 0) return {c.size, c.offset, 0, 0};
  }
  return {};
}

/// TSC frequency = crystal × numerator / denominator, exactly; all zero if the fraction does not fit.
CpuidResult tsc_leaf(const CpuProfile& p) {
  const u64 divisor = std::gcd(p.frequency, p.crystal);
  const u64 numerator = p.frequency / divisor;
  const u64 denominator = p.crystal / divisor;
  constexpr u64 most = std::numeric_limits<u32>::max();
  if (numerator > most || denominator > most || p.crystal > most) return {};
  return {static_cast<u32>(denominator), static_cast<u32>(numerator), static_cast<u32>(p.crystal), 0};
}

CpuidResult frequency_leaf(const CpuProfile& p) {
  const u32 mhz = static_cast<u32>(p.frequency / 1'000'000);
  return {mhz, mhz, 100, 0};
}

CpuidResult basic_leaf(const Cpu& cpu, u32 leaf, u32 subleaf) {
  const CpuProfile& p = cpu.profile;
  switch (leaf) {
    case 0: return {highest_basic(cpu), word_of(p.vendor, 0), word_of(p.vendor, 8), word_of(p.vendor, 4)};
    case 1: return version_leaf(cpu);
    case 2: return p.intel() ? cache_descriptors(p, highest_basic(cpu)) : CpuidResult{};
    case 4: return p.intel() ? cache_leaf(p, subleaf) : CpuidResult{};
    case 5: return monitor_leaf(p);
    case 6: return with_features(cpu, 6, 0);
    case 7: return structured_leaf(cpu, subleaf);
    case 0xb: return topology_leaf(cpu, subleaf);
    case 0xd: return xsave_leaf(cpu, subleaf);
    case 0x15: return tsc_leaf(p);
    case 0x16: return frequency_leaf(p);
    default: return {};
  }
}

/// Leaf 80000001H: AMD repeats leaf 1's old bits in EDX; Intel hides SYSCALL outside 64-bit mode and XD when disabled.
CpuidResult extended_version_leaf(const Cpu& cpu) {
  const CpuProfile& p = cpu.profile;
  CpuidResult out = with_features(cpu, extended + 1, 0);
  if ((cpu.state.msr.misc_enable & misc_enable::xd_disable) != 0) out.edx &= ~(1u << 20);
  if (p.intel()) {
    if (!cpu.state.code64()) out.edx &= ~(1u << 11);
    return out;
  }
  constexpr u32 repeated = 0x0183'f3ff;
  out.eax = p.signature();
  out.edx |= version_leaf(cpu).edx & repeated;
  if (p.cores > 1) out.ecx |= 1u << 1;  // CmpLegacy
  return out;
}

CpuidResult address_leaf(const CpuProfile& p) {
  CpuidResult out;
  out.eax = static_cast<u32>(p.physical_bits | (p.has(Feature::Lm) ? p.linear_bits() : 32u) << 8);
  if (!p.intel()) out.ecx = static_cast<u32>(p.cores - 1) | core_id_bits(p) << 12;
  return out;
}

/// AMD's leaf 8000000AH: revision 1 of SVM, and how many address-space numbers there are.
CpuidResult svm_leaf(const Cpu& cpu) {
  if (!cpu.profile.has(Feature::Svm)) return {};
  CpuidResult out = with_features(cpu, extended + 0xa, 0);
  out.eax = 1;
  out.ebx = svm::address_space_count(cpu.profile);
  return out;
}

/// AMD's leaf 8000001EH: one thread a core, one node.
CpuidResult amd_topology_leaf(const Cpu& cpu) {
  if (!cpu.profile.has(Feature::Topoext)) return {};
  return {cpu.number, cpu.number & 0xff, 0, 0};
}

/// AMD's leaf 80000021H: nothing is executed speculatively, so LFENCE cannot but serialize, and a null selector clears the
/// base (APM vol. 3, E.4.16).
constexpr u32 lfence_serializes = 1u << 2, null_selector_clears_base = 1u << 6;

u32 highest_extended(const CpuProfile& p) {
  if (p.highest_extended_leaf != 0) return static_cast<u32>(p.highest_extended_leaf);
  return extended + (p.intel() ? 0x08 : 0x21);
}

CpuidResult extended_leaf(const Cpu& cpu, u32 leaf, u32 subleaf) {
  const CpuProfile& p = cpu.profile;
  switch (leaf) {
    case extended:
      if (p.intel()) return {highest_extended(p), 0, 0, 0};
      return {highest_extended(p), word_of(p.vendor, 0), word_of(p.vendor, 8), word_of(p.vendor, 4)};
    case extended + 1: return extended_version_leaf(cpu);
    case extended + 2:
    case extended + 3:
    case extended + 4: {
      const std::size_t at = (leaf - (extended + 2)) * 16u;
      return {word_of(p.brand, at), word_of(p.brand, at + 4), word_of(p.brand, at + 8), word_of(p.brand, at + 12)};
    }
    case extended + 5: return p.intel() ? CpuidResult{} : amd_l1_leaf(p);
    case extended + 6: return lower_caches_leaf(p);
    case extended + 7: return with_features(cpu, extended + 7, 0);
    case extended + 8: return address_leaf(p);
    case extended + 0xa: return svm_leaf(cpu);
    case extended + 0x1d: return p.has(Feature::Topoext) ? cache_leaf(p, subleaf) : CpuidResult{};
    case extended + 0x1e: return amd_topology_leaf(cpu);
    case extended + 0x21: return {lfence_serializes | null_selector_clears_base, 0, 0, 0};
    default: return {};
  }
}

}  // namespace

CpuidResult cpuid_leaf(const Cpu& cpu, u32 leaf, u32 subleaf) {
  if (leaf >= extended && leaf <= highest_extended(cpu.profile)) return extended_leaf(cpu, leaf, subleaf);
  if (leaf == software_fill_leaf && cpu.mmu.scheme() != nullptr && cpu.mmu.scheme()->fills_by_hypervisor()) {
    const auto [ebx, ecx, edx] = software_fill_name;
    return {fill_msr::root + fill_msr::count - 1, ebx, ecx, edx};
  }
  const u32 highest = highest_basic(cpu);
  if (leaf <= highest) return basic_leaf(cpu, leaf, subleaf);
  // Beyond the range Intel answers as for the highest basic leaf, AMD with zeros.
  return cpu.profile.intel() ? basic_leaf(cpu, highest, subleaf) : CpuidResult{};
}

namespace semantics {

bool cpuid(Cpu& cpu, const Record& r) {
  if (intercepted(cpu, r, Intercept::Cpuid)) return false;
  const CpuidResult result = cpuid_leaf(cpu, cpu.reg<u32>(offset_of(RAX)), cpu.reg<u32>(offset_of(RCX)));
  cpu.set_reg(offset_of(RAX), result.eax);
  cpu.set_reg(offset_of(RBX), result.ebx);
  cpu.set_reg(offset_of(RCX), result.ecx);
  cpu.set_reg(offset_of(RDX), result.edx);
  return true;
}

}  // namespace semantics
}  // namespace bunshin
