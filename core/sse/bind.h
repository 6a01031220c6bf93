#pragma once

// From lane functions to handlers. A handler is made of an operation, where its second operand comes from (a Source, so
// that register and memory forms are different code), and how its result goes back. All are Semantics under run_plain:
// their local variables end before the tail call to the next handler, which could not be one otherwise.

#include "core/decode/bind.h"
#include "core/execute/host_memory.h"
#include "core/sse/host_mxcsr.h"
#include "core/x87/semantics.h"

namespace bunshin::sse {

/// --- Choosing between semantics by REX.W, by form, or both ---
template <Semantics narrow, Semantics wide>
Handler by_width(const Decoded& d) {
  return d.operand_bytes == 8 ? run_plain<wide> : run_plain<narrow>;
}
template <Semantics register_form, Semantics memory_form>
Handler by_form(const Decoded& d) {
  return d.memory ? run_plain<memory_form> : run_plain<register_form>;
}
template <class Narrow, class Wide>
Handler by_form_and_width(const Decoded& d) {
  if (d.operand_bytes == 8) return d.memory ? run_plain<Wide::from_memory> : run_plain<Wide::from_register>;
  return d.memory ? run_plain<Narrow::from_memory> : run_plain<Narrow::from_register>;
}

/// --- Sources: load() is false if the access did not happen. ---
struct FromXmm {
  using Value = Vec;
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
/// The record's memory operand, which must be aligned: #GP(0) (SDM vol. 1, 10.4.1 and 11.3).
template <unsigned alignment>
[[gnu::always_inline]] inline bool aligned_address(Cpu& cpu, const Record& r, unsigned size, AccessKind kind,
                                                   u64& linear) {
  if (!cpu.to_linear(cpu.segment_of(r), cpu.effective_address(r), size, kind, linear)) [[unlikely]]
    return false;
  if ((linear & (alignment - 1)) != 0) [[unlikely]]
    return cpu.raise(Vector::GP, 0);
  return true;
}
/// Memory operands: `size` bytes, and what alignment they need.
struct Aligned16 {
  using Value = Vec;
  static constexpr unsigned size = 16, alignment = 16;
  static Vec from_host(const u8* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static bool load(Cpu& cpu, const Record& r, Vec& out) {
    u64 linear = 0;
    return aligned_address<16>(cpu, r, 16, AccessKind::Read, linear) && cpu.load_linear(linear, out);
  }
};
struct Any16 {
  using Value = Vec;
  static constexpr unsigned size = 16, alignment = 1;
  static Vec from_host(const u8* p) { return Aligned16::from_host(p); }
  static bool load(Cpu& cpu, const Record& r, Vec& out) { return cpu.load(r, out); }
};
/// A scalar, zero-extended.
template <class T>
struct Scalar {
  using Value = Vec;
  static constexpr unsigned size = sizeof(T), alignment = 1;
  static Vec from_host(const u8* p) {
    T v;
    std::memcpy(&v, p, sizeof(v));
    return from64(v);
  }
  static bool load(Cpu& cpu, const Record& r, Vec& out) {
    T v{};
    if (!cpu.load(r, v)) [[unlikely]]
      return false;
    out = from64(v);
    return true;
  }
};
using Low8 = Scalar<u64>;
using Low4 = Scalar<u32>;
using Low2 = Scalar<u16>;

/// In 64-bit mode without FS or GS, an aligned operand that the fast cache maps needs no further check.
inline u64 flat_address(const Cpu& cpu, const Record& r) {
  return cpu.reg<u64>(r.base) + (cpu.reg<u64>(r.index) << r.scale) + static_cast<u64>(i64{r.disp});
}
inline bool has_flat_address(const Decoded& d) { return d.memory && d.flat && d.record.address_bytes() == 8; }
template <class Memory, class Host>
struct Flat {
  using Value = typename Memory::Value;
  static bool load(Cpu& cpu, const Record& r, Value& out) {
    const u64 linear = flat_address(cpu, r);
    const bool aligned = (linear & (Memory::alignment - 1)) == 0;
    const u8* host = aligned ? Host::read(cpu, linear, Memory::size) : nullptr;
    if (host == nullptr) [[unlikely]]
      return Memory::load(cpu, r, out);
    out = Memory::from_host(host);
    return true;
  }
};

/// Calls `choose.operator()<Source>()` with where the decoded ModRM.rm operand is.
template <class Register, class Memory, class Choose>
Handler by_source(const Decoded& d, Choose choose) {
  if (!d.memory) return choose.template operator()<Register>();
  if (has_flat_address(d)) {
    return d.observed ? choose.template operator()<Flat<Memory, ByLine>>()
                      : choose.template operator()<Flat<Memory, ByPage>>();
  }
  return choose.template operator()<Memory>();
}

inline u8 imm8(const Record& r) { return static_cast<u8>(r.imm); }

/// --- xmm op= source ---
template <LaneOp op, class Source>
bool run_xmm(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  Xmm& d = cpu.state.xmm[r.reg];
  write(d, op(read(d), s));
  return true;
}
template <LaneOp op, class Memory = Aligned16>
Handler xmm(const Decoded& d) {
  return by_source<FromXmm, Memory>(d, []<class Source>() -> Handler { return run_plain<run_xmm<op, Source>>; });
}
/// The same where the operation depends on the form (MOVSS, MOVHLPS/MOVLPS …): one row for each.
template <LaneOp op>
Handler xmm_from_register(const Decoded&) {
  return run_plain<run_xmm<op, FromXmm>>;
}
template <LaneOp op, class Memory>
Handler xmm_from_memory(const Decoded& d) {
  return xmm<op, Memory>(d);
}

template <ImmOp op, class Source>
bool run_xmm_imm(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  Xmm& d = cpu.state.xmm[r.reg];
  write(d, op(read(d), s, imm8(r)));
  return true;
}
template <ImmOp op, class Memory = Aligned16>
Handler xmm_imm(const Decoded& d) {
  return by_source<FromXmm, Memory>(d, []<class Source>() -> Handler { return run_plain<run_xmm_imm<op, Source>>; });
}

/// Operations with the implicit third operand XMM0.
using MaskOp = Vec (*)(Vec d, Vec s, Vec mask);
template <MaskOp op, class Source>
bool run_xmm_mask(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  Xmm& d = cpu.state.xmm[r.reg];
  write(d, op(read(d), s, read(cpu.state.xmm[0])));
  return true;
}
template <MaskOp op>
Handler xmm_mask(const Decoded& d) {
  return by_form<run_xmm_mask<op, FromXmm>, run_xmm_mask<op, Aligned16>>(d);
}

/// Shifts by an immediate: the destination is ModRM.rm.
template <LaneOp op>
bool run_xmm_shift(Cpu& cpu, const Record& r) {
  Xmm& d = cpu.state.xmm[r.rm];
  write(d, op(read(d), from64(imm8(r))));
  return true;
}
template <LaneOp op>
Handler xmm_shift(const Decoded&) {
  return run_plain<run_xmm_shift<op>>;
}

/// --- Floating point: as above, but an unmasked exception leaves the destination alone. ---
template <LaneOp op, Tiny tiny, class Source>
bool run_fp(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  Xmm& d = cpu.state.xmm[r.reg];
  const Vec before = read(d);
  Vec result;
  if (!compute_vector<tiny>(cpu, result, [&] { return op(before, s); })) [[unlikely]]
    return false;
  write(d, result);
  return true;
}
template <LaneOp op, Tiny tiny = Tiny::Never, class Memory = Aligned16>
Handler fp(const Decoded& d) {
  return by_source<FromXmm, Memory>(d, []<class Source>() -> Handler { return run_plain<run_fp<op, tiny, Source>>; });
}
template <ImmOp op, Tiny tiny, class Source>
bool run_fp_imm(Cpu& cpu, const Record& r) {
  Vec s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  Xmm& d = cpu.state.xmm[r.reg];
  const Vec before = read(d);
  Vec result;
  if (!compute_vector<tiny>(cpu, result, [&] { return op(before, s, imm8(r)); })) [[unlikely]]
    return false;
  write(d, result);
  return true;
}
template <ImmOp op, Tiny tiny = Tiny::Never, class Memory = Aligned16>
Handler fp_imm(const Decoded& d) {
  return by_form<run_fp_imm<op, tiny, FromXmm>, run_fp_imm<op, tiny, Memory>>(d);
}

/// --- Stores of an XMM register ---
/// Register form of a store opcode: ModRM.rm op= ModRM.reg.
template <LaneOp op>
bool run_xmm_reversed(Cpu& cpu, const Record& r) {
  Xmm& d = cpu.state.xmm[r.rm];
  write(d, op(read(d), read(cpu.state.xmm[r.reg])));
  return true;
}
struct StoreAligned16 {
  static constexpr unsigned size = 16, alignment = 16;
  static void to_host(u8* p, const Xmm& x) { std::memcpy(p, x.bytes.data(), 16); }
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) {
    u64 linear = 0;
    return aligned_address<16>(cpu, r, 16, AccessKind::Write, linear) && cpu.store_linear(linear, x);
  }
};
struct StoreAny16 {
  static constexpr unsigned size = 16, alignment = 1;
  static void to_host(u8* p, const Xmm& x) { std::memcpy(p, x.bytes.data(), 16); }
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) { return cpu.store(r, x); }
};
/// Element `index` of type T.
template <class T, unsigned index>
struct StoreElement {
  static constexpr unsigned size = sizeof(T), alignment = 1;
  static void to_host(u8* p, const Xmm& x) { std::memcpy(p, x.bytes.data() + index * sizeof(T), sizeof(T)); }
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) { return cpu.store(r, x.get<T>(index)); }
};
using StoreLow = StoreElement<u64, 0>;
using StoreHigh = StoreElement<u64, 1>;
template <class Memory, class Host>
struct FlatStore {
  static bool store(Cpu& cpu, const Record& r, const Xmm& x) {
    const u64 linear = flat_address(cpu, r);
    const bool aligned = (linear & (Memory::alignment - 1)) == 0;
    u8* host = aligned ? Host::write(cpu, linear, Memory::size) : nullptr;
    if (host == nullptr) [[unlikely]]
      return Memory::store(cpu, r, x);
    Memory::to_host(host, x);
    return true;
  }
};
template <class Store>
bool run_xmm_store(Cpu& cpu, const Record& r) {
  return Store::store(cpu, r, cpu.state.xmm[r.reg]);
}
template <class Store>
Handler xmm_store_memory(const Decoded& d) {
  if (!has_flat_address(d)) return run_plain<run_xmm_store<Store>>;
  return d.observed ? run_plain<run_xmm_store<FlatStore<Store, ByLine>>>
                    : run_plain<run_xmm_store<FlatStore<Store, ByPage>>>;
}
template <LaneOp register_form, class Store>
Handler xmm_store(const Decoded& d) {
  return d.memory ? xmm_store_memory<Store>(d) : run_plain<run_xmm_reversed<register_form>>;
}

/// --- MMX: pending x87 exceptions first; TOP and tags change with the instruction's completion (SDM vol. 1, 9.5.1).
/// ---
template <LaneOp op, class Source>
bool run_mmx(Cpu& cpu, const Record& r) {
  Vec s;
  if (!x87::deliver_pending(cpu) || !Source::load(cpu, r, s)) [[unlikely]]
    return false;
  X87State& x = cpu.state.x87;
  x87::enter_mmx(x);
  x87::set_mmx(x, r.reg, low64(op(from64(x87::mmx(x, r.reg)), s)));
  return true;
}
template <LaneOp op, class Memory = Low8>
Handler mmx(const Decoded& d) {
  return by_form<run_mmx<op, FromMmx>, run_mmx<op, Memory>>(d);
}
template <ImmOp op, class Source>
bool run_mmx_imm(Cpu& cpu, const Record& r) {
  Vec s;
  if (!x87::deliver_pending(cpu) || !Source::load(cpu, r, s)) [[unlikely]]
    return false;
  X87State& x = cpu.state.x87;
  x87::enter_mmx(x);
  x87::set_mmx(x, r.reg, low64(op(from64(x87::mmx(x, r.reg)), s, imm8(r))));
  return true;
}
template <ImmOp op>
Handler mmx_imm(const Decoded& d) {
  return by_form<run_mmx_imm<op, FromMmx>, run_mmx_imm<op, Low8>>(d);
}
template <LaneOp op>
bool run_mmx_shift(Cpu& cpu, const Record& r) {
  if (!x87::deliver_pending(cpu)) [[unlikely]]
    return false;
  X87State& x = cpu.state.x87;
  x87::enter_mmx(x);
  x87::set_mmx(x, r.rm, low64(op(from64(x87::mmx(x, r.rm)), from64(imm8(r)))));
  return true;
}
template <LaneOp op>
Handler mmx_shift(const Decoded&) {
  return run_plain<run_mmx_shift<op>>;
}

}  // namespace bunshin::sse
