#pragma once

// The XSAVE-managed state (SDM vol. 1, ch. 13) and the images FXSAVE and XSAVE make of it. Which components there are
// and where they lie, CPUID says (core/system/cpuid.h).

#include <array>

#include "core/cpu.h"

namespace bunshin {

namespace xcr0 {
inline constexpr u64 X87 = 1, SSE = 2, AVX = 4, PKRU = 1u << 9;
}

/// XSETBV's rules for XCR0 (SDM vol. 1, 13.3).
bool xcr0_is_valid(const CpuProfile& profile, u64 value);
/// Components not in their initial state (XGETBV with ECX = 1).
u64 xsave_in_use(const CpuState& state);

namespace sse {

/// The legacy region, laid out as FXSAVE's image (SDM vol. 1, table 10-2).
using LegacyImage = std::array<u8, 512>;

struct LegacyFormat {
  bool wide_pointers = false;  ///< REX.W: FIP and FDP have 64 bits and no selectors
  bool all_registers = false;  ///< 64-bit mode: XMM8-XMM15 too
};
void store_x87(const X87State& s, LegacyImage& image, LegacyFormat format);
void load_x87(X87State& s, const LegacyImage& image, LegacyFormat format);
void store_xmm(const CpuState& s, LegacyImage& image, LegacyFormat format);
void load_xmm(CpuState& s, const LegacyImage& image, LegacyFormat format);

[[nodiscard]] bool fxsave(Cpu& cpu, const Record& r);
[[nodiscard]] bool fxrstor(Cpu& cpu, const Record& r);
enum class Save : u8 { Plain, Optimised, Compacted };
[[nodiscard]] bool xsave(Cpu& cpu, const Record& r, Save kind);
/// Changes PKRU: must end its block.
[[nodiscard]] bool xrstor(Cpu& cpu, const Record& r);
[[nodiscard]] bool xgetbv(Cpu& cpu, const Record& r);
[[nodiscard]] bool xsetbv(Cpu& cpu, const Record& r);

}  // namespace sse
}  // namespace bunshin
