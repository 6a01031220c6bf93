#pragma once

// How a chapter of the MSR table is written: rows of {range, who has it, read, write}.

#include <span>

#include "core/cpu.h"

namespace bunshin::msr {

enum class Maker : u8 { Any, Intel, Amd };

struct Row {
  u32 first = 0;
  u32 count = 1;
  Feature feature = Feature::Base;
  Maker maker = Maker::Any;
  /// Null: reading (writing) is a #GP.
  bool (*read)(const Cpu& cpu, u32 index, u64& value) = nullptr;
  bool (*write)(Cpu& cpu, u32 index, u64 value) = nullptr;
};

/// Plain storage, any value.
template <u64 Msrs::*field>
bool read_field(const Cpu& cpu, u32 /*index*/, u64& value) {
  value = cpu.state.msr.*field;
  return true;
}
template <u64 Msrs::*field>
bool write_field(Cpu& cpu, u32 /*index*/, u64 value) {
  cpu.state.msr.*field = value;
  return true;
}
/// Storage in which only the bits of `mask` exist; the others are reserved.
template <u64 Msrs::*field, u64 mask>
bool write_masked(Cpu& cpu, u32 /*index*/, u64 value) {
  if ((value & ~mask) != 0) return false;
  cpu.state.msr.*field = value;
  return true;
}
/// Linear addresses: canonical for the widest linear address the processor has, whatever CR4.LA57.
inline bool canonical(const Cpu& cpu, u64 value) { return is_canonical(value, cpu.profile.linear_bits()); }
template <u64 Msrs::*field>
bool write_canonical(Cpu& cpu, u32 /*index*/, u64 value) {
  if (!canonical(cpu, value)) return false;
  cpu.state.msr.*field = value;
  return true;
}
template <u64 constant>
bool read_constant(const Cpu& /*cpu*/, u32 /*index*/, u64& value) {
  value = constant;
  return true;
}
inline bool write_ignored(Cpu& /*cpu*/, u32 /*index*/, u64 /*value*/) { return true; }
inline bool write_zero_only(Cpu& /*cpu*/, u32 /*index*/, u64 value) { return value == 0; }

std::span<const Row> memory_type_rows();  // msr_memory_types.cpp: PAT, MTRRs
std::span<const Row> time_rows();         // msr_time.cpp: TSC, deadline, APIC
std::span<const Row> debug_rows();        // msr_debug.cpp: DEBUGCTL, last branches, MPERF and APERF
std::span<const Row> svm_rows();          // core/virt/svm
std::span<const Row> vmx_rows();          // core/virt/vmx
std::span<const Row> platform_rows();     // msr_platform.cpp: identity, machine check, mitigations, AMD's own

}  // namespace bunshin::msr
