#pragma once

// x87 instructions on a Cpu: pending exceptions, memory operands, and the pointers to the last instruction and operand.

#include "core/cpu.h"
#include "core/engine/dispatch.h"
#include "core/x87/environment.h"
#include "core/x87/transfer.h"

namespace bunshin::x87 {

/// A waiting instruction first delivers a pending unmasked exception (SDM vol. 1, 8.7.1). With CR0.NE = 0 that is the
/// platform's business (see ferr()).
inline bool deliver_pending(Cpu& cpu) {
  if (!exception_pending(cpu.state.x87)) [[likely]]
    return true;
  if ((cpu.state.cr0 & cr0::NE) == 0) return cpu.guest == nullptr || !cpu.guest->intercepts_freeze();
  return cpu.raise(Vector::MF);
}

/// FIP, FDP, FOP of a completed non-control instruction (SDM vol. 1, 8.1.8, 8.1.9). Record::imm holds FOP.
inline void note_pointers(Cpu& cpu, const Record& r) {
  X87State& s = cpu.state.x87;
  s.ip = this_rip(cpu, r);
  s.ip_selector = cpu.state.segment(Seg::CS).selector;
  s.opcode = r.imm & 0x7ff;
  if (!r.has_memory()) return;
  s.operand = cpu.effective_address(r);
  s.operand_selector = cpu.state.segment(cpu.segment_of(r)).selector;
}

template <class T>
[[nodiscard]] bool load_operand(Cpu& cpu, const Record& r, T& value) {
  return cpu.load(r, value);
}
/// Ten bytes are aligned as eight (SDM vol. 3, table 6-7), so they are read as eight and two.
[[nodiscard]] inline bool load_operand(Cpu& cpu, const Record& r, X87Register& value) {
  const Seg segment = cpu.segment_of(r);
  return cpu.load(segment, cpu.part_address(r, 0), value.mantissa) &&
         cpu.load(segment, cpu.part_address(r, 8), value.sign_exponent);
}
[[nodiscard]] bool load_operand(Cpu& cpu, const Record& r, host::Bcd& value);

template <class T>
[[nodiscard]] bool store_operand(Cpu& cpu, const Record& r, const T& value) {
  return cpu.store(r, value);
}
/// Whether the operand could be stored: an unmasked exception that prevents the store comes after the faults of its
/// address (SDM vol. 3, table 6-2).
template <class T>
[[nodiscard]] bool probe_operand(Cpu& cpu, const Record& r, const T&) {
  return cpu.probe_write(cpu.segment_of(r), cpu.part_address(r, 0), sizeof(T));
}
[[nodiscard]] bool probe_operand(Cpu& cpu, const Record& r, const X87Register&);
[[nodiscard]] bool probe_operand(Cpu& cpu, const Record& r, const host::Bcd&);

[[nodiscard]] bool store_operand(Cpu& cpu, const Record& r, const X87Register& value);
[[nodiscard]] bool store_operand(Cpu& cpu, const Record& r, const host::Bcd& value);

/// An instruction on the register stack alone: `body(state, i)` with ModRM.rm's register.
template <void (*body)(X87State&, unsigned)>
bool on_registers(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  body(cpu.state.x87, r.rm);
  note_pointers(cpu, r);
  return true;
}

/// An instruction that reads memory: `body(state, value)`.
template <class T, void (*body)(X87State&, const T&)>
bool from_memory(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  T value;
  if (!load_operand(cpu, r, value)) return false;
  body(cpu.state.x87, value);
  note_pointers(cpu, r);
  return true;
}

/// An instruction that stores ST(0) as `prepare` converts it.
template <auto prepare, bool then_pop>
bool to_memory(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  const auto prepared = prepare(cpu.state.x87);
  const bool possible = prepared.write ? store_operand(cpu, r, prepared.value) : probe_operand(cpu, r, prepared.value);
  if (!possible) return false;
  commit_store(cpu.state.x87, prepared.status, prepared.write, then_pop);
  note_pointers(cpu, r);
  return true;
}

template <bool quiet, bool then_pop>
bool comi(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  u64 flags = 0;
  if (compare_to_flags(cpu.state.x87, quiet, r.rm, then_pop, flags)) cpu.state.flags.set_status(flags);
  note_pointers(cpu, r);
  return true;
}

/// FCMOVcc's condition in the low bits of the opcode map: B, E, BE, U, and their negations in DB.
enum class Condition : u8 { Below, Equal, BelowOrEqual, Unordered };

template <Condition condition, bool negated>
bool cmov(Cpu& cpu, const Record& r) {
  if (!deliver_pending(cpu)) return false;
  const LazyFlags& f = cpu.state.flags;
  bool holds = false;
  switch (condition) {
    case Condition::Below: holds = f.cf(); break;
    case Condition::Equal: holds = f.zf(); break;
    case Condition::BelowOrEqual: holds = f.cf() || f.zf(); break;
    case Condition::Unordered: holds = f.pf(); break;
  }
  move_if(cpu.state.x87, r.rm, holds != negated);
  note_pointers(cpu, r);
  return true;
}

/// Control instructions (SDM vol. 1, 8.3.10): they leave the pointers alone.
bool fwait(Cpu& cpu, const Record& r);
bool fldcw(Cpu& cpu, const Record& r);
bool fnstcw(Cpu& cpu, const Record& r);
bool fnstsw(Cpu& cpu, const Record& r);
bool fnstsw_ax(Cpu& cpu, const Record& r);
bool fnclex(Cpu& cpu, const Record& r);
bool fninit(Cpu& cpu, const Record& r);
bool fldenv(Cpu& cpu, const Record& r);
bool fnstenv(Cpu& cpu, const Record& r);
bool frstor(Cpu& cpu, const Record& r);
bool fnsave(Cpu& cpu, const Record& r);
/// FNENI, FNDISI, FNSETPM: instructions of the 8087 and 80287 that later processors ignore (SDM vol. 3, 22.18.9).
bool ignored(Cpu& cpu, const Record& r);

}  // namespace bunshin::x87
