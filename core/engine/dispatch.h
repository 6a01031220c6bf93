#pragma once

// How one handler reaches the next: by a tail call where the compiler makes one, else by returning to the engine's loop.

#include "core/cpu.h"

namespace bunshin {

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(BUNSHIN_LOOP_DISPATCH)
inline constexpr bool chained_dispatch = true;
#else
inline constexpr bool chained_dispatch = false;
#endif

/// Continues with the record behind `record`.
inline const Record* next(Cpu& cpu, const Record* record) {
  if constexpr (chained_dispatch) return record[1].run(cpu, record + 1);
  return record + 1;
}

/// RIP of the instruction itself, and of the one behind it.
inline u64 this_rip(const Cpu& cpu, const Record& r) { return cpu.state.gpr[CpuState::rip_slot] + r.offset; }
inline u64 next_rip(const Cpu& cpu, const Record& r) { return this_rip(cpu, r) + r.length; }

/// The instruction did not complete: leaves with RIP on it and the instructions before it retired.
const Record* leave_block(Cpu& cpu, const Record* record);
/// The instruction completed and set CpuState::rip: leaves with it retired.
const Record* end_block(Cpu& cpu, const Record* record);

}  // namespace bunshin
