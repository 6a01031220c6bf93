#pragma once

// Handlers of floating-point instructions whose destination is no vector register: the same with and without VEX.

#include "core/sse/bind.h"
#include "core/sse/float.h"

namespace bunshin::sse {

/// COMISS and its kin: the status flags are the destination.
template <CompareOp op, class Source>
bool run_comi(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) return false;
  const Vec d = read(cpu.state.xmm[r.reg]);
  u64 flags = 0;
  if (!compute_checked(cpu, [&] { flags = op(d, s); })) return false;
  cpu.state.flags.set_status(flags);
  return true;
}
template <CompareOp op, class Memory>
Handler comi(const Decoded& d) {
  return by_form<run_comi<op, FromXmm>, run_comi<op, Memory>>(d);
}

/// CVTSS2SI, CVTTSS2SI, CVTSD2SI, CVTTSD2SI.
template <class Int, Int (*op)(Vec), class Source>
bool convert_to_register(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) return false;
  Int v{};
  if (!compute_checked(cpu, [&] { v = op(s); })) return false;
  cpu.set_reg<Int>(r.reg, v);
  return true;
}
template <i32 (*narrow)(Vec), i64 (*wide)(Vec), class Memory>
Handler to_general(const Decoded& d) {
  if (d.operand_bytes == 8)
    return by_form<convert_to_register<i64, wide, FromXmm>, convert_to_register<i64, wide, Memory>>(d);
  return by_form<convert_to_register<i32, narrow, FromXmm>, convert_to_register<i32, narrow, Memory>>(d);
}

}  // namespace bunshin::sse
