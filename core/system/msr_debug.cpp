// DEBUGCTL and the records it switches on, and the counters of executed cycles (SDM vol. 3, 17.4 and 14.2; vol. 4, table
// 2-20; APM vol. 2, 13.1.1.6, 13.1.1.7 and 17.3).

#include "core/events/debug.h"
#include "core/system/msr_table.h"

namespace bunshin::msr {
namespace {

/// Branch-trace stores and messages, and what belongs to performance counters, are not there; AMD's PB bits drive pins
/// that nobody looks at.
constexpr u64 intel_debugctl = debugctl::LBR | debugctl::BTF, amd_debugctl = intel_debugctl | 0x3c;

constexpr u32 from_base = 0x680, to_base = 0x6c0;

bool read_record(const Cpu& cpu, u32 index, u64& value) {
  const Msrs& m = cpu.state.msr;
  value = index < to_base ? m.branch_from[index - from_base] : m.branch_to[index - to_base];
  return true;
}

bool write_record(Cpu& cpu, u32 index, u64 value) {
  if (!canonical(cpu, value)) return false;
  Msrs& m = cpu.state.msr;
  (index < to_base ? m.branch_from[index - from_base] : m.branch_to[index - to_base]) = value;
  return true;
}

template <std::array<u64, 32> Msrs::*records>
bool read_first(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = (cpu.state.msr.*records)[0];
  return true;
}

/// The core's frequency never changes, so both counters count the same: cycles in which it was not waiting.
u64 active_cycles(const Cpu& cpu) { return cpu.cycles() - cpu.waited_cycles; }

template <u64 Msrs::*base>
bool read_active(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = active_cycles(cpu) - cpu.state.msr.*base;
  return true;
}
template <u64 Msrs::*base>
bool write_active(Cpu& cpu, u32 /*index*/, u64 value) {
  cpu.state.msr.*base = active_cycles(cpu) - value;
  return true;
}

// clang-format off
constexpr Row rows[] = {
    {0xe7, 1, Feature::Aperfmperf, Maker::Any, read_active<&Msrs::mperf_base>, write_active<&Msrs::mperf_base>},
    {0xe8, 1, Feature::Aperfmperf, Maker::Any, read_active<&Msrs::aperf_base>, write_active<&Msrs::aperf_base>},
    {0x1c8, 1, Feature::De, Maker::Intel, read_field<&Msrs::branch_select>, write_masked<&Msrs::branch_select, 0x1ff>},
    {0x1c9, 1, Feature::De, Maker::Intel, read_field<&Msrs::branch_top>,
     write_masked<&Msrs::branch_top, branch_records - 1>},
    {0x1d9, 1, Feature::De, Maker::Intel, read_field<&Msrs::debugctl>, write_masked<&Msrs::debugctl, intel_debugctl>},
    {0x1d9, 1, Feature::De, Maker::Amd, read_field<&Msrs::debugctl>, write_masked<&Msrs::debugctl, amd_debugctl>},
    {0x1db, 1, Feature::De, Maker::Amd, read_first<&Msrs::branch_from>},
    {0x1dc, 1, Feature::De, Maker::Amd, read_first<&Msrs::branch_to>},
    {0x1dd, 1, Feature::De, Maker::Any, read_field<&Msrs::exception_from>},
    {0x1de, 1, Feature::De, Maker::Any, read_field<&Msrs::exception_to>},
    {from_base, branch_records, Feature::De, Maker::Intel, read_record, write_record},
    {to_base, branch_records, Feature::De, Maker::Intel, read_record, write_record},
    // MSR_LBR_INFO: no branch is mispredicted, and nobody counts the cycles between two.
    {0xdc0, branch_records, Feature::De, Maker::Intel, read_constant<0>, write_zero_only},
};
// clang-format on

}  // namespace

std::span<const Row> debug_rows() { return rows; }

}  // namespace bunshin::msr
