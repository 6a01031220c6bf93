#pragma once

// From lane functions to handlers. A handler is made of an operation, where its second operand comes from (a Source, so
// that register and memory forms are different code), and how its result goes back.

#include "core/decode/bind.h"
#include "core/sse/host_mxcsr.h"
#include "core/x87/semantics.h"

namespace bunshin::sse {

/// --- Sources: load() is false if a fault was raised. ---
struct FromXmm {
  static bool load(Cpu& cpu, const Record& r, Vec& out) {
    out = read(cpu.state.xmm[r.rm]);
    return true;
  }
};
struct FromMmx {
  static bool load(Cpu& cpu, const Record& r, Vec& out) {
    out = from64(x87::mmx(cpu.state.x87, r.rm));
    return true;
  }
};
struct FromImmediate {
  static bool load(Cpu&, const Record& r, Vec& out) {
    out = from64(r.imm & 0xff);
    return true;
  }
};
/// 16 bytes at any address.
struct Any16 {
  static bool load(Cpu& cpu, const Record& r, Vec& out) { return cpu.load(r, out); }
};
/// The record's memory operand, which must be aligned: #GP(0) (SDM vol. 1, 10.4.1 and 11.3).
template <unsigned alignment>
[[gnu::always_inline]] inline bool aligned_address(Cpu& cpu, const Record& r, unsigned size, AccessKind kind, u64& linear) {
  if (!cpu.to_linear(cpu.segment_of(r), cpu.effective_address(r), size, kind, linear)) [[unlikely]] return false;
  if ((linear & (alignment - 1)) != 0) [[unlikely]] return cpu.raise(Vector::GP, 0);
  return true;
}
struct Aligned16 {
  static bool load(Cpu& cpu, const Record& r, Vec& out) {
    u64 linear = 0;
    return aligned_address<16>(cpu, r, 16, AccessKind::Read, linear) && cpu.load_linear(linear, out);
  }
};
/// A scalar, zero-extended; alignment is not checked.
template <class T>
struct Scalar {
  static bool load(Cpu& cpu, const Record& r, Vec& out) {
    T v{};
    if (!cpu.load(r, v)) [[unlikely]] return false;
    out = from64(v);
    return true;
  }
};
using Low8 = Scalar<u64>;
using Low4 = Scalar<u32>;
using Low2 = Scalar<u16>;

inline u8 imm8(const Record& r) { return static_cast<u8>(r.imm); }

/// --- xmm op= source ---
template <LaneOp op, class Source>
const Record* run_xmm(Cpu& cpu, const Record* r) {
  Vec s;
  if (!Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  Xmm& d = cpu.state.xmm[r->reg];
  write(d, op(read(d), s));
  return next(cpu, r);
}
template <LaneOp op, class Memory = Aligned16>
Handler xmm(const Decoded& d) {
  return d.memory ? run_xmm<op, Memory> : run_xmm<op, FromXmm>;
}
/// The same where the operation depends on the form (MOVSS, MOVHLPS/MOVLPS …): one row for each.
template <LaneOp op, class Source>
Handler xmm_from(const Decoded&) {
  return run_xmm<op, Source>;
}

template <ImmOp op, class Source>
const Record* run_xmm_imm(Cpu& cpu, const Record* r) {
  Vec s;
  if (!Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  Xmm& d = cpu.state.xmm[r->reg];
  write(d, op(read(d), s, imm8(*r)));
  return next(cpu, r);
}
template <ImmOp op, class Memory = Aligned16>
Handler xmm_imm(const Decoded& d) {
  return d.memory ? run_xmm_imm<op, Memory> : run_xmm_imm<op, FromXmm>;
}

/// Operations with the implicit third operand XMM0.
using MaskOp = Vec (*)(Vec d, Vec s, Vec mask);
template <MaskOp op, class Source>
const Record* run_xmm_mask(Cpu& cpu, const Record* r) {
  Vec s;
  if (!Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  Xmm& d = cpu.state.xmm[r->reg];
  write(d, op(read(d), s, read(cpu.state.xmm[0])));
  return next(cpu, r);
}
template <MaskOp op>
Handler xmm_mask(const Decoded& d) {
  return d.memory ? run_xmm_mask<op, Aligned16> : run_xmm_mask<op, FromXmm>;
}

/// Shifts by an immediate: the destination is ModRM.rm.
template <LaneOp op>
const Record* run_xmm_shift(Cpu& cpu, const Record* r) {
  Xmm& d = cpu.state.xmm[r->rm];
  write(d, op(read(d), from64(imm8(*r))));
  return next(cpu, r);
}
template <LaneOp op>
Handler xmm_shift(const Decoded&) {
  return run_xmm_shift<op>;
}

/// --- Floating point: as above, but an unmasked exception leaves the destination alone. ---
template <LaneOp op, Tiny tiny, class Source>
const Record* run_fp(Cpu& cpu, const Record* r) {
  Vec s;
  if (!Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  Xmm& d = cpu.state.xmm[r->reg];
  const Vec before = read(d);
  Vec result;
  if (!compute_vector<tiny>(cpu, result, [&] { return op(before, s); })) [[unlikely]] return leave_block(cpu, r);
  write(d, result);
  return next(cpu, r);
}
template <LaneOp op, Tiny tiny = Tiny::Never, class Memory = Aligned16>
Handler fp(const Decoded& d) {
  return d.memory ? run_fp<op, tiny, Memory> : run_fp<op, tiny, FromXmm>;
}
template <ImmOp op, Tiny tiny, class Source>
const Record* run_fp_imm(Cpu& cpu, const Record* r) {
  Vec s;
  if (!Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  Xmm& d = cpu.state.xmm[r->reg];
  const Vec before = read(d);
  Vec result;
  if (!compute_vector<tiny>(cpu, result, [&] { return op(before, s, imm8(*r)); })) [[unlikely]]
    return leave_block(cpu, r);
  write(d, result);
  return next(cpu, r);
}
template <ImmOp op, Tiny tiny = Tiny::Never, class Memory = Aligned16>
Handler fp_imm(const Decoded& d) {
  return d.memory ? run_fp_imm<op, tiny, Memory> : run_fp_imm<op, tiny, FromXmm>;
}

/// --- Stores of an XMM register ---
/// Register form of a store opcode: ModRM.rm op= ModRM.reg.
template <LaneOp op>
const Record* run_xmm_reversed(Cpu& cpu, const Record* r) {
  Xmm& d = cpu.state.xmm[r->rm];
  write(d, op(read(d), read(cpu.state.xmm[r->reg])));
  return next(cpu, r);
}
struct StoreAligned16 {
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) {
    u64 linear = 0;
    return aligned_address<16>(cpu, r, 16, AccessKind::Write, linear) && cpu.store_linear(linear, x);
  }
};
struct StoreAny16 {
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) { return cpu.store(r, x); }
};
/// Element `index` of type T.
template <class T, unsigned index>
struct StoreElement {
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) { return cpu.store(r, x.get<T>(index)); }
};
template <class Store>
const Record* run_xmm_store(Cpu& cpu, const Record* r) {
  if (!Store::store(cpu, *r, cpu.state.xmm[r->reg])) [[unlikely]] return leave_block(cpu, r);
  return next(cpu, r);
}
template <LaneOp register_form, class Store>
Handler xmm_store(const Decoded& d) {
  return d.memory ? run_xmm_store<Store> : run_xmm_reversed<register_form>;
}
template <class Store>
Handler xmm_store_memory(const Decoded&) {
  return run_xmm_store<Store>;
}

/// --- MMX: pending x87 exceptions first; TOP and tags change with the instruction's completion (SDM vol. 1, 9.5.1). ---
template <LaneOp op, class Source>
const Record* run_mmx(Cpu& cpu, const Record* r) {
  Vec s;
  if (!x87::deliver_pending(cpu) || !Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  X87State& x = cpu.state.x87;
  x87::enter_mmx(x);
  x87::set_mmx(x, r->reg, low64(op(from64(x87::mmx(x, r->reg)), s)));
  return next(cpu, r);
}
template <LaneOp op, class Memory = Low8>
Handler mmx(const Decoded& d) {
  return d.memory ? run_mmx<op, Memory> : run_mmx<op, FromMmx>;
}
template <ImmOp op, class Source>
const Record* run_mmx_imm(Cpu& cpu, const Record* r) {
  Vec s;
  if (!x87::deliver_pending(cpu) || !Source::load(cpu, *r, s)) [[unlikely]] return leave_block(cpu, r);
  X87State& x = cpu.state.x87;
  x87::enter_mmx(x);
  x87::set_mmx(x, r->reg, low64(op(from64(x87::mmx(x, r->reg)), s, imm8(*r))));
  return next(cpu, r);
}
template <ImmOp op>
Handler mmx_imm(const Decoded& d) {
  return d.memory ? run_mmx_imm<op, Low8> : run_mmx_imm<op, FromMmx>;
}
template <LaneOp op>
const Record* run_mmx_shift(Cpu& cpu, const Record* r) {
  if (!x87::deliver_pending(cpu)) [[unlikely]] return leave_block(cpu, r);
  X87State& x = cpu.state.x87;
  x87::enter_mmx(x);
  x87::set_mmx(x, r->rm, low64(op(from64(x87::mmx(x, r->rm)), from64(imm8(*r)))));
  return next(cpu, r);
}
template <LaneOp op>
Handler mmx_shift(const Decoded&) {
  return run_mmx_shift<op>;
}

/// --- General registers: chooses between two semantics by REX.W, by form, or both. ---
template <Semantics narrow, Semantics wide>
Handler by_width(const Decoded& d) {
  return d.operand_bytes == 8 ? run_plain<wide> : run_plain<narrow>;
}
template <Semantics register_form, Semantics memory_form>
Handler by_form(const Decoded& d) {
  return d.memory ? run_plain<memory_form> : run_plain<register_form>;
}
template <template <class Int> class Form>
Handler by_form_and_width(const Decoded& d) {
  if (d.operand_bytes == 8) return d.memory ? run_plain<Form<u64>::from_memory> : run_plain<Form<u64>::from_register>;
  return d.memory ? run_plain<Form<u32>::from_memory> : run_plain<Form<u32>::from_register>;
}

}  // namespace bunshin::sse
