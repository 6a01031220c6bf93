#pragma once

// Model-specific registers (SDM vol. 4; AMD APM vol. 2, app. A), as a table of ranges.

#include "core/cpu.h"

namespace bunshin {

/// False: there is no such register in this profile, or reading it is a #GP(0). Raises nothing itself. Needs exact time
/// (Cpu::alone) for the time-stamp counter and the local APIC's registers.
[[nodiscard]] bool read_msr(Cpu& cpu, u32 index, u64& value);
/// False: no such register, or the value is a #GP(0); nothing has changed then. May change mode and translation.
[[nodiscard]] bool write_msr(Cpu& cpu, u32 index, u64 value);

/// What IA32_EFER may hold by the profile, LMA (which no write changes) left out.
u64 efer_writable(const Cpu& cpu);

/// Pairs of variable-range MTRRs (IA32_MTRRCAP.VCNT) and machine-check banks (IA32_MCG_CAP.Count). AMD's have had six since family
/// 10h (BKDG 31116, 2.13.1), and software reads bank 4's registers unasked.
inline constexpr unsigned mtrr_pairs = 8, intel_machine_check_banks = 4, amd_machine_check_banks = 6;

/// IA32_MISC_ENABLE bits that CPUID depends on (SDM vol. 4, table 2-2).
namespace misc_enable {
inline constexpr u64 fast_strings = 1, thermal_control = 1u << 3, performance_monitoring = 1u << 7,
                     bts_unavailable = 1u << 11, pebs_unavailable = 1u << 12, enhanced_speedstep = 1u << 16,
                     monitor = 1u << 18, limit_cpuid = 1u << 22, xtpr_disable = 1u << 23, xd_disable = u64{1} << 34;
}

/// AMD's hardware configuration register (MSR C001_0015; PPR 55898).
namespace hwcr {
inline constexpr u64 monitor_disabled = 1u << 9, monitor_user = 1u << 10, tsc_at_p0 = 1u << 24;
}

}  // namespace bunshin
