// The time-stamp counter and what compares with it, and the local APIC's MSRs (SDM vol. 3, 17.17, 10.4.4, 10.5.4.1 and
// 10.12).

#include "core/system/msr_table.h"

namespace bunshin::msr {
namespace {

/// The local APIC is reached without the bus: it must be told what time it is, and its deadlines may move.
LocalApic& timed_apic(Cpu& cpu) {
  cpu.environment.set_local_time(cpu.now());
  cpu.accessed_device = true;
  return cpu.apic;
}

/// When the TSC reaches `value`: now if it has, never if that lies beyond simulated time.
SimTime when_tsc_reaches(const Cpu& cpu, u64 value) {
  const u64 tsc = cpu.host_tsc();
  if (value <= tsc) return cpu.now();
  const u64 distance = value - tsc;
  const u64 cycle = cpu.cycles() + distance;
  if (cycle < distance) return SimTime::never();
  const u128 ps = u128{cycle} * 1'000'000'000'000ULL / cpu.profile.frequency;
  return ps >= SimTime::never().ps ? SimTime::never() : Clock{cpu.profile.frequency}.at(cycle);
}

void arm_deadline(Cpu& cpu, u64 value) {
  timed_apic(cpu).set_tsc_deadline(value, value == 0 ? SimTime::never() : when_tsc_reaches(cpu, value));
}

/// The TSC jumps by `distance`; an armed deadline is a TSC value, so its time moves.
void move_tsc(Cpu& cpu, u64 distance) {
  cpu.state.tsc_offset += distance;
  cpu.state.msr.tsc_adjust += distance;
  const u64 armed = cpu.apic.tsc_deadline();
  if (armed != 0) arm_deadline(cpu, armed);
}

bool read_tsc(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = cpu.tsc();
  return true;
}

bool write_tsc(Cpu& cpu, u32 /*index*/, u64 value) {
  move_tsc(cpu, value - cpu.host_tsc());
  return true;
}

bool write_tsc_adjust(Cpu& cpu, u32 /*index*/, u64 value) {
  move_tsc(cpu, value - cpu.state.msr.tsc_adjust);
  return true;
}

bool read_deadline(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = cpu.apic.tsc_deadline();
  return true;
}

bool write_deadline(Cpu& cpu, u32 /*index*/, u64 value) {
  arm_deadline(cpu, value);
  return true;
}

bool read_apic_base(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = cpu.apic.base_msr();
  return true;
}

bool write_apic_base(Cpu& cpu, u32 /*index*/, u64 value) { return timed_apic(cpu).set_base_msr(value); }

bool read_x2apic(const Cpu& cpu, u32 index, u64& value) {
  cpu.environment.set_local_time(cpu.now());
  return cpu.apic.read_msr(index, value);
}

bool write_x2apic(Cpu& cpu, u32 index, u64 value) { return timed_apic(cpu).write_msr(index, value); }

// clang-format off
constexpr Row rows[] = {
    {0x10, 1, Feature::Tsc, Maker::Any, read_tsc, write_tsc},
    {0x1b, 1, Feature::Apic, Maker::Any, read_apic_base, write_apic_base},
    {0x3b, 1, Feature::TscAdjust, Maker::Any, read_field<&Msrs::tsc_adjust>, write_tsc_adjust},
    {0x6e0, 1, Feature::TscDeadline, Maker::Any, read_deadline, write_deadline},
    {0x800, 0x100, Feature::X2apic, Maker::Any, read_x2apic, write_x2apic},
};
// clang-format on

}  // namespace

std::span<const Row> time_rows() { return rows; }

}  // namespace bunshin::msr
