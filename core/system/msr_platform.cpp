// Identity, machine check, speculation controls, power information, and what only AMD's processors have
// (SDM vol. 4, table 2-2; AMD APM vol. 2, 3.2 and app. A).

#include "core/system/msr.h"
#include "core/system/msr_table.h"

namespace bunshin::msr {
namespace {

/// A revision newer than those with errata that operating systems work around (SDM vol. 3, 9.11.7.1: bits 63:32).
constexpr u64 intel_microcode = u64{0x0500'3604} << 32;
/// AMD reports the patch level in bits 31:0 (APM vol. 2, 15.7 "Microcode Patch").
constexpr u64 amd_microcode = 0x0a00'1173;

/// Platform ratio unit: 100 MHz (SDM vol. 4, MSR_PLATFORM_INFO bits 15:8).
constexpr u64 bus_clock = 100'000'000;

bool read_platform_info(const Cpu& cpu, u32 /*index*/, u64& value) {
  const u64 ratio = (cpu.profile.frequency / bus_clock) & 0xff;
  value = ratio << 8 | ratio << 40;
  return true;
}

bool read_performance_status(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = ((cpu.profile.frequency / bus_clock) & 0xff) << 8;
  return true;
}

/// MSR_PKG_CST_CONFIG_CONTROL bit 15 (SDM vol. 4, table 2-20).
constexpr u64 package_cstates_locked = 1u << 15;

/// Nothing is executed speculatively, so none of the vulnerabilities that the manual enumerates exist: RDCL_NO,
/// IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO, PSDP_NO, BHI_NO,
/// PBRSB_NO, GDS_NO, RFDS_NO (SDM vol. 4, table 2-2, IA32_ARCH_CAPABILITIES).
constexpr u64 arch_capabilities = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8 | 1u << 13 |
                                  1u << 14 | 1u << 15 | 1u << 20 | 1u << 24 | 1u << 26 | 1u << 27;

constexpr u64 misc_enable_writable = misc_enable::fast_strings | misc_enable::thermal_control |
                                     misc_enable::enhanced_speedstep | misc_enable::monitor | misc_enable::limit_cpuid |
                                     misc_enable::xtpr_disable | misc_enable::xd_disable;
/// Read-only: writes leave them alone, as they do the performance-monitoring bit, which is clear.
constexpr u64 misc_enable_fixed = misc_enable::bts_unavailable | misc_enable::pebs_unavailable;
constexpr u64 misc_enable_ignored = misc_enable_fixed | misc_enable::performance_monitoring;

bool read_misc_enable(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = cpu.state.msr.misc_enable | misc_enable_fixed;
  return true;
}

bool write_misc_enable(Cpu& cpu, u32 /*index*/, u64 value) {
  if ((value & ~(misc_enable_writable | misc_enable_ignored)) != 0) return false;
  cpu.state.msr.misc_enable = value & misc_enable_writable;
  return true;
}

/// Each bank: control, status, address, miscellaneous (SDM vol. 3, 15.3.2). No error is ever logged. Address and
/// miscellaneous hold what software leaves there; the manual lets a processor refuse all but zero, and real ones differ.
bool read_bank(const Cpu& cpu, u32 index, u64& value) {
  value = cpu.state.msr.mc_banks[index - 0x400];
  return true;
}

/// The manual defines only all ones and all zeros for the control register. Bit 10 may differ: kernels clear it on AMD's
/// processors (the GART error of bank 4).
bool is_bank_control(u64 value) {
  constexpr u64 gart_error = 1u << 10;
  return value == 0 || (value | gart_error) == ~u64{0};
}

bool write_bank(Cpu& cpu, u32 index, u64 value) {
  enum Register : u32 { control = 0, status = 1 };
  const u32 offset = index - 0x400;
  if ((offset & 3) == control && !is_bank_control(value)) return false;
  if ((offset & 3) == status && value != 0) return false;
  cpu.state.msr.mc_banks[offset] = value;
  return true;
}

static_assert(4 * std::max(intel_machine_check_banks, amd_machine_check_banks) ==
              std::tuple_size_v<decltype(Msrs::mc_banks)>);

bool read_iorr(const Cpu& cpu, u32 index, u64& value) {
  value = cpu.state.msr.iorr[(index - 0xc001'0016) & 3];
  return true;
}

bool write_iorr(Cpu& cpu, u32 index, u64 value) {
  if ((value & (~u64{0} << cpu.profile.physical_bits)) != 0) return false;
  cpu.state.msr.iorr[(index - 0xc001'0016) & 3] = value;
  return true;
}

// clang-format off
constexpr Row rows[] = {
    // P5_MC_ADDR, P5_MC_TYPE: kept for software written for the Pentium.
    {0x00, 2, Feature::Mce, Maker::Any, read_constant<0>, write_ignored},
    {0x17, 1, Feature::Base, Maker::Intel, read_constant<0>},
    {0x48, 1, Feature::ArchCapabilities, Maker::Any, read_field<&Msrs::spec_ctrl>,
     write_masked<&Msrs::spec_ctrl, 1>},
    {0x49, 1, Feature::ArchCapabilities, Maker::Any, nullptr,
     [](Cpu&, u32, u64 value) { return (value & ~u64{1}) == 0; }},
    {0x8b, 1, Feature::Base, Maker::Intel, read_constant<intel_microcode>, write_ignored},
    {0x8b, 1, Feature::Base, Maker::Amd, read_constant<amd_microcode>},
    {0xce, 1, Feature::Base, Maker::Intel, read_platform_info},
    // Package C-states and C1E: configuration locked, none allowed, none promoted to.
    {0xe2, 1, Feature::Monitor, Maker::Intel, read_constant<package_cstates_locked>},
    {0x10a, 1, Feature::ArchCapabilities, Maker::Any, read_constant<arch_capabilities>},
    {0x179, 1, Feature::Mca, Maker::Intel, read_constant<intel_machine_check_banks>},
    {0x179, 1, Feature::Mca, Maker::Amd, read_constant<amd_machine_check_banks>},
    {0x17a, 1, Feature::Mca, Maker::Any, read_field<&Msrs::mcg_status>, write_masked<&Msrs::mcg_status, 7>},
    {0x198, 1, Feature::Base, Maker::Intel, read_performance_status},
    {0x1a0, 1, Feature::Base, Maker::Intel, read_misc_enable, write_misc_enable},
    {0x1fc, 1, Feature::Monitor, Maker::Intel, read_constant<0>, write_ignored},
    {0x400, 4 * intel_machine_check_banks, Feature::Mca, Maker::Intel, read_bank, write_bank},
    {0x400, 4 * amd_machine_check_banks, Feature::Mca, Maker::Amd, read_bank, write_bank},
    {0xc001'0010, 1, Feature::Base, Maker::Amd, read_field<&Msrs::syscfg>, write_masked<&Msrs::syscfg, 0x7f'0000>},
    {0xc001'0015, 1, Feature::Base, Maker::Amd, read_field<&Msrs::hwcr>, write_field<&Msrs::hwcr>},
    {0xc001'0016, 4, Feature::Base, Maker::Amd, read_iorr, write_iorr},
    {0xc001'001a, 1, Feature::Base, Maker::Amd, read_field<&Msrs::top_mem>, write_field<&Msrs::top_mem>},
    {0xc001'001d, 1, Feature::Base, Maker::Amd, read_field<&Msrs::top_mem2>, write_field<&Msrs::top_mem2>},
    // NB_CFG and INT_PENDING_MSG: chipset registers of old parts that kernels still look at.
    {0xc001'001f, 1, Feature::Base, Maker::Amd, read_constant<0>, write_ignored},
    {0xc001'0055, 1, Feature::Base, Maker::Amd, read_constant<0>, write_ignored},
    {0xc001'1029, 1, Feature::Base, Maker::Amd, read_field<&Msrs::de_cfg>, write_field<&Msrs::de_cfg>},
};
// clang-format on

}  // namespace

std::span<const Row> platform_rows() { return rows; }

}  // namespace bunshin::msr
