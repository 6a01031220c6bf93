// HLT, MONITOR, MWAIT and the instructions about caches that hold nothing the memory does not.

#include "core/system/semantics.h"

namespace bunshin::semantics {

bool hlt(Cpu& cpu, const Record&) {
  cpu.state.activity = Activity::Halted;
  return true;
}

/// MONITOR reads the byte it watches; so does its translation fault.
bool monitor(Cpu& cpu, const Record& r) {
  if (cpu.state.cpl != 0) return cpu.raise(Vector::UD);
  if (cpu.reg<u32>(offset_of(RCX)) != 0) return cpu.raise(Vector::GP, 0);
  const u64 mask = ~u64{0} >> (64 - 8 * r.address_bytes());
  u8 watched = 0;
  return cpu.load(cpu.segment_of(r), cpu.reg<u64>(offset_of(RAX)) & mask, watched);
}

/// Completes at once. A processor may leave the wait for any reason of its own (SDM vol. 2, MWAIT), and software loops
/// around it. To wait really, another core's store would have to be noticed: missing one would be a deadlock.
bool mwait(Cpu& cpu, const Record&) {
  if (cpu.state.cpl != 0) return cpu.raise(Vector::UD);
  if (cpu.reg<u32>(offset_of(RCX)) > 1) return cpu.raise(Vector::GP, 0);
  return true;
}

bool write_back_caches(Cpu&, const Record&) { return true; }

}  // namespace bunshin::semantics
