#pragma once

// Turns a semantic function into a handler. `Semantics` is bool(Cpu&, const Record&): true when the instruction has
// completed, false when it did not happen (Cpu::leave says why) and RIP stays on it.

#include "core/cpu.h"
#include "core/decode/row.h"
#include "core/engine/dispatch.h"

namespace bunshin {

using Semantics = bool (*)(Cpu&, const Record&);

template <Semantics semantics>
const Record* run_plain(Cpu& cpu, const Record* record) {
  if (!semantics(cpu, *record)) [[unlikely]]
    return leave_block(cpu, record);
  return next(cpu, record);
}

template <Semantics semantics>
[[gnu::noinline, gnu::cold]] const Record* run_complete(Cpu& cpu, const Record* record) {
  return run_plain<semantics>(cpu, record);
}

/// Binder for instructions that need no specialisation: the function looks at the record itself.
template <Semantics semantics>
Handler plain(const Decoded&) {
  return run_plain<semantics>;
}

/// Two forms of one instruction: `fast` returns false, without any effect, if the memory it needs is not in the fast cache;
/// then `complete` does the whole instruction. Nothing lives across the call of the second, so it is a tail call and the
/// fast form needs no stack frame.
template <Semantics fast, Semantics complete>
const Record* run_fast(Cpu& cpu, const Record* record) {
  if (!fast(cpu, *record)) [[unlikely]]
    return run_complete<complete>(cpu, record);
  return next(cpu, record);
}

/// The same for instructions that end their block: they set CpuState::rip themselves (it already points behind the
/// instruction when they are called) and may change any mode.
template <Semantics semantics>
const Record* run_ending(Cpu& cpu, const Record* record) {
  cpu.state.rip = next_rip(cpu, *record);
  if (!semantics(cpu, *record)) [[unlikely]]
    return leave_block(cpu, record);
  return end_block(cpu, record);
}

template <Semantics semantics>
Handler ending(const Decoded&) {
  return run_ending<semantics>;
}

}  // namespace bunshin
