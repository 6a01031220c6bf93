#pragma once

// Semantics of the instructions whose whole point is privilege, segments, events or flags (core/decode/bind.h). Bound
// to encodings by rows_events.cpp.

#include "core/cpu.h"

namespace bunshin::semantics {

/// --- Segment registers (segment_instructions.cpp) ---
[[nodiscard]] bool mov_to_segment(Cpu& cpu, const Record& r);
[[nodiscard]] bool mov_from_segment(Cpu& cpu, const Record& r);
[[nodiscard]] bool push_segment(Cpu& cpu, const Record& r, Seg seg);
[[nodiscard]] bool pop_segment(Cpu& cpu, const Record& r, Seg seg);
[[nodiscard]] bool load_far_pointer(Cpu& cpu, const Record& r, Seg seg);
[[nodiscard]] bool lldt(Cpu& cpu, const Record& r);
[[nodiscard]] bool ltr(Cpu& cpu, const Record& r);

template <Seg seg>
bool push_segment(Cpu& cpu, const Record& r) {
  return push_segment(cpu, r, seg);
}
template <Seg seg>
bool pop_segment(Cpu& cpu, const Record& r) {
  return pop_segment(cpu, r, seg);
}
template <Seg seg>
bool load_far_pointer(Cpu& cpu, const Record& r) {
  return load_far_pointer(cpu, r, seg);
}

/// --- Far transfers and software interrupts (transfer_instructions.cpp) ---
[[nodiscard]] bool jmp_far_direct(Cpu& cpu, const Record& r);
[[nodiscard]] bool jmp_far_indirect(Cpu& cpu, const Record& r);
[[nodiscard]] bool call_far_direct(Cpu& cpu, const Record& r);
[[nodiscard]] bool call_far_indirect(Cpu& cpu, const Record& r);
[[nodiscard]] bool ret_far(Cpu& cpu, const Record& r);
[[nodiscard]] bool iret(Cpu& cpu, const Record& r);
[[nodiscard]] bool int_n(Cpu& cpu, const Record& r);
[[nodiscard]] bool int3(Cpu& cpu, const Record& r);
[[nodiscard]] bool into(Cpu& cpu, const Record& r);
[[nodiscard]] bool int1(Cpu& cpu, const Record& r);
[[nodiscard]] bool bound(Cpu& cpu, const Record& r);
[[nodiscard]] bool undefined(Cpu& cpu, const Record& r);

/// --- Fast system calls (system_call.cpp) ---
[[nodiscard]] bool syscall(Cpu& cpu, const Record& r);
[[nodiscard]] bool sysret(Cpu& cpu, const Record& r);
[[nodiscard]] bool sysenter(Cpu& cpu, const Record& r);
[[nodiscard]] bool sysexit(Cpu& cpu, const Record& r);

/// --- Flags (flag_instructions.cpp) ---
[[nodiscard]] bool pushf(Cpu& cpu, const Record& r);
[[nodiscard]] bool popf(Cpu& cpu, const Record& r);
[[nodiscard]] bool cli(Cpu& cpu, const Record& r);
[[nodiscard]] bool sti(Cpu& cpu, const Record& r);
[[nodiscard]] bool clac(Cpu& cpu, const Record& r);
[[nodiscard]] bool stac(Cpu& cpu, const Record& r);

}  // namespace bunshin::semantics
