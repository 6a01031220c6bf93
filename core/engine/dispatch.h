#pragma once

// How control goes from one handler to the next and from one block to the next: by a tail call where the compiler makes
// one, else by returning to the engine's loop.

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

/// The instruction did not complete (or is to be run again): leaves with RIP on it and gives back the budget from it on.
const Record* leave_block(Cpu& cpu, const Record* record);
/// The instruction completed as the block's last and set CpuState::rip; the engine looks at everything anew.
inline const Record* end_block(Cpu& /*cpu*/, const Record* /*record*/) { return nullptr; }

/// Enters the block with this entry record at `rip`. False, nothing changed, if the budget does not cover it (or it is
/// stale: then no budget does).
inline bool enter(Cpu& cpu, const Record* entry, u64 rip) {
  const i64 left = cpu.budget - static_cast<i64>(entry->imm);
  if (left < 0) [[unlikely]]
    return false;
  cpu.budget = left;
  cpu.entry = entry;
  cpu.state.gpr[CpuState::rip_slot] = rip;
  return true;
}

/// The first instruction of an entered block.
inline const Record* first_of(Cpu& cpu, const Record* entry) {
  if constexpr (chained_dispatch) return entry[1].run(cpu, entry + 1);
  return entry + 1;
}

/// Continues at `rip` through a link record of the running block, for targets in the same page. Where the link leads
/// nowhere yet, the engine finds the block and completes the link.
inline const Record* follow_link(Cpu& cpu, const Record* link, u64 rip) {
  const auto* target = reinterpret_cast<const Record*>(link->imm);  // NOLINT(performance-no-int-to-ptr)
  if (target == nullptr || !enter(cpu, target, rip)) [[unlikely]] {
    cpu.state.rip = rip;
    cpu.open_link = link;
    return nullptr;
  }
  return first_of(cpu, target);
}

/// Continues at `rip`, wherever it is, in the same mode.
inline const Record* jump(Cpu& cpu, u64 rip) {
  const Record* target = cpu.jumps.find(rip, cpu.jump_key());
  if (target == nullptr || !enter(cpu, target, rip)) [[unlikely]] {
    cpu.state.rip = rip;
    return nullptr;
  }
  return first_of(cpu, target);
}

}  // namespace bunshin
