// PAT and MTRRs (SDM vol. 3, 11.11 and 11.12).

#include "core/system/msr.h"
#include "core/system/msr_table.h"

namespace bunshin::msr {
namespace {

constexpr u64 fixed_ranges_supported = 1u << 8, write_combining_supported = 1u << 10;

constexpr bool is_mtrr_type(u64 type) { return type == 0 || type == 1 || (type >= 4 && type <= 6); }
constexpr bool is_pat_type(u64 type) { return is_mtrr_type(type) || type == 7; }

template <bool (*valid)(u64)>
bool all_bytes(u64 value) {
  for (unsigned shift = 0; shift < 64; shift += 8) {
    if (!valid((value >> shift) & 0xff)) return false;
  }
  return true;
}

/// The order of the eleven fixed-range registers in CpuState: 250H, 258H, 259H, 268H … 26FH.
unsigned fixed_slot(u32 index) { return index == 0x250 ? 0 : index < 0x260 ? index - 0x258 + 1 : index - 0x268 + 3; }

bool read_fixed(const Cpu& cpu, u32 index, u64& value) {
  value = cpu.state.msr.mtrr_fixed[fixed_slot(index)];
  return true;
}

/// Writing an MTRR invalidates the TLB, global entries included (SDM vol. 3, 11.9).
bool write_fixed(Cpu& cpu, u32 index, u64 value) {
  if (!all_bytes<is_mtrr_type>(value)) return false;
  cpu.state.msr.mtrr_fixed[fixed_slot(index)] = value;
  cpu.mmu.flush_all();
  return true;
}

bool read_variable(const Cpu& cpu, u32 index, u64& value) {
  value = cpu.state.msr.mtrr_variable[index - 0x200];
  return true;
}

bool write_variable(Cpu& cpu, u32 index, u64 value) {
  const bool is_mask = (index & 1) != 0;
  const u64 beyond = ~u64{0} << cpu.profile.physical_bits;
  const u64 reserved = beyond | (is_mask ? 0x7ff : 0xf00);
  if ((value & reserved) != 0 || (!is_mask && !is_mtrr_type(value & 0xff))) return false;
  cpu.state.msr.mtrr_variable[index - 0x200] = value;
  cpu.mmu.flush_all();
  return true;
}

bool write_default_type(Cpu& cpu, u32 /*index*/, u64 value) {
  if ((value & ~u64{0xcff}) != 0 || !is_mtrr_type(value & 0xff)) return false;
  cpu.state.msr.mtrr_def_type = value;
  cpu.mmu.flush_all();
  return true;
}

bool write_pat(Cpu& cpu, u32 /*index*/, u64 value) {
  if (!all_bytes<is_pat_type>(value)) return false;
  cpu.state.msr.pat = value;
  return true;
}

constexpr u64 mtrr_capabilities = mtrr_pairs | fixed_ranges_supported | write_combining_supported;
static_assert(mtrr_pairs * 2 == std::tuple_size_v<decltype(Msrs::mtrr_variable)>);

// clang-format off
constexpr Row rows[] = {
    {0xfe, 1, Feature::Mtrr, Maker::Any, read_constant<mtrr_capabilities>},
    {0x200, 2 * mtrr_pairs, Feature::Mtrr, Maker::Any, read_variable, write_variable},
    {0x250, 1, Feature::Mtrr, Maker::Any, read_fixed, write_fixed},
    {0x258, 2, Feature::Mtrr, Maker::Any, read_fixed, write_fixed},
    {0x268, 8, Feature::Mtrr, Maker::Any, read_fixed, write_fixed},
    {0x277, 1, Feature::Pat, Maker::Any, read_field<&Msrs::pat>, write_pat},
    {0x2ff, 1, Feature::Mtrr, Maker::Any, read_field<&Msrs::mtrr_def_type>, write_default_type},
};
// clang-format on

}  // namespace

std::span<const Row> memory_type_rows() { return rows; }

}  // namespace bunshin::msr
