#pragma once

// From lane functions to handlers of VEX-encoded vector instructions, as bind.h does for the legacy ones. One row serves
// both vector lengths (core/decode/row.h) and one operation both, so that most rows are a line of table:
//
//   {"VEX.66.0F.WIG FE /r", "vpaddd", {Op::Vx, Op::Hx, Op::Wx}, vex<paddd>, Feature::Avx, attr::avx | attr::avx2_256},
//
// An operation is the Vec f(Vec, Vec, …) of the legacy instruction, which is then applied to each lane (SDM vol. 1,
// 14.2.1), or one that takes a Vec256 first (lanes that meet, immediates whose halves belong to the lanes): a function for
// rows of VEX.256 only, a function object with both overloads for rows of either length (`apply` prefers what accepts the
// operands as they are). An operand
// that is a Vec beside a Vec256, a shift count, and an immediate go to both lanes.
//
//   binder                             result                          rows like
//   vex<op, Memory>                    reg = op(vvvv, rm)              VPADDD; VPABSB, which ignores its first operand
//   vex_imm<op, Memory>                reg = op(vvvv, rm, imm8)        VPALIGNR, VPSHUFD, VINSERTI128
//   vex_mask<op>                       reg = op(vvvv, rm, is4)         VPBLENDVB
//   vex_accumulate<op, Memory>         reg = op(reg, vvvv, rm)         instructions that read their destination
//   vex_shift<op>                      vvvv = op(rm, imm8)             VPSLLDQ
//   vex_store<op, Store>               memory = reg; rm = op(vvvv, reg)   VMOVUPS, VMOVSS to ModRM.rm
//   vex_fp, vex_fp_imm, vex_fp_accumulate   with `Tiny` after `op`: as above; an unmasked exception leaves the
//                                      destination alone
//
// Where the operand lies: `Full` (default) is as long as the vector, FullAligned the same with alignment (VMOVDQA,
// VMOVAPS), Half, Quarter and Eighth that part of it (VPMOVZX, VCVTPS2PD), and Any16, Low8, Low4, Low2 of bind.h have one
// size whatever the length (scalars, shift counts, VINSERTI128). In register form a Full operand has the vector's length,
// all others are XMM registers. Memory operands need no alignment unless the binder says so (SDM vol. 1, 14.9).
//
// A result that is a Vec clears bits 255:128 of its register, as every VEX-encoded instruction does. VEX-encoded stores of
// less than a register (VMOVLPS, VMOVQ) are those of bind.h: xmm_store_memory.

#include "core/sse/bind.h"

namespace bunshin::sse {

/// --- Vector lengths, and registers of that length ---
inline void write_vector(Cpu& cpu, u8 number, const Vec256& v) {
  write(cpu.state.xmm[number], v.low);
  write(cpu.state.ymm_high[number], v.high);
}
inline void write_vector(Cpu& cpu, u8 number, Vec v) { write_vector(cpu, number, Vec256{v, _mm_setzero_si128()}); }

struct Length128 {
  using Vector = Vec;
  static Vec read(const Cpu& cpu, u8 number) { return sse::read(cpu.state.xmm[number]); }
  static Vec from_host(const u8* p) { return Any16::from_host(p); }
};
struct Length256 {
  using Vector = Vec256;
  static Vec256 read(const Cpu& cpu, u8 number) {
    return {sse::read(cpu.state.xmm[number]), sse::read(cpu.state.ymm_high[number])};
  }
  static Vec256 from_host(const u8* p) { return {Any16::from_host(p), Any16::from_host(p + 16)}; }
};

/// --- Operations on either length ---
inline Vec low_lane(const Vec256& v) { return v.low; }
inline Vec high_lane(const Vec256& v) { return v.high; }
inline Vec low_lane(Vec v) { return v; }
inline Vec high_lane(Vec v) { return v; }
inline u8 low_lane(u8 imm) { return imm; }
inline u8 high_lane(u8 imm) { return imm; }
template <auto op>
[[gnu::always_inline]] inline auto apply(const auto&... operands) {
  if constexpr (requires { op(operands...); })
    return op(operands...);
  else
    return Vec256{op(low_lane(operands)...), op(high_lane(operands)...)};
}

/// --- Sources ---
template <class Length>
struct FromVector {
  using Value = typename Length::Vector;
  static bool load(Cpu& cpu, const Record& r, Value& out) {
    out = Length::read(cpu, r.rm);
    return true;
  }
};
template <class Length, bool aligned>
struct VectorMemory {
  using Value = typename Length::Vector;
  static constexpr unsigned size = sizeof(Value), alignment = aligned ? size : 1;
  static Value from_host(const u8* p) { return Length::from_host(p); }
  static bool load(Cpu& cpu, const Record& r, Value& out) {
    if constexpr (!aligned) return cpu.load(r, out);
    u64 linear = 0;
    return aligned_address<alignment>(cpu, r, size, AccessKind::Read, linear) && cpu.load_linear(linear, out);
  }
};
struct Full {};
struct FullAligned {};
struct Half {};
struct Quarter {};
struct Eighth {};

/// What these names and those of bind.h mean with a vector length: sources in memory and in registers.
template <class Memory, class Length>
struct SourceFor {
  using InMemory = Memory;
  using InRegister = FromXmm;
};
template <class Length>
struct SourceFor<Full, Length> {
  using InMemory = VectorMemory<Length, false>;
  using InRegister = FromVector<Length>;
};
template <class Length>
struct SourceFor<FullAligned, Length> {
  using InMemory = VectorMemory<Length, true>;
  using InRegister = FromVector<Length>;
};
template <>
struct SourceFor<Half, Length128> : SourceFor<Low8, Length128> {};
template <>
struct SourceFor<Half, Length256> : SourceFor<Any16, Length256> {};
template <>
struct SourceFor<Quarter, Length128> : SourceFor<Low4, Length128> {};
template <>
struct SourceFor<Quarter, Length256> : SourceFor<Low8, Length256> {};
template <>
struct SourceFor<Eighth, Length128> : SourceFor<Low2, Length128> {};
template <>
struct SourceFor<Eighth, Length256> : SourceFor<Low4, Length256> {};

/// A function of YMM registers belongs to a VEX.256 row; function objects serve both lengths.
template <class Result, class... Rest>
constexpr bool only_256(Result (*)(Vec256, Rest...)) {
  return true;
}
constexpr bool only_256(const auto&) { return false; }

/// Calls `choose.operator()<Length>()` with the decoded vector length.
template <bool only256 = false, class Choose>
Handler by_length(const Decoded& d, Choose choose) {
  if constexpr (only256)
    return choose.template operator()<Length256>();
  else
    return d.vector_bytes == 32 ? choose.template operator()<Length256>() : choose.template operator()<Length128>();
}
/// Calls `choose.operator()<Length, Source>()` with the vector length and where the ModRM.rm operand is.
template <class Memory, bool only256, class Choose>
Handler by_length_and_source(const Decoded& d, Choose choose) {
  return by_length<only256>(d, [&]<class Length>() {
    using Where = SourceFor<Memory, Length>;
    return by_source<typename Where::InRegister, typename Where::InMemory>(
        d, [&]<class Source>() { return choose.template operator()<Length, Source>(); });
  });
}

/// --- The forms of operands. Each loads the source, then gives what it means to the instruction's operation. ---
/// op(vvvv, rm)
struct TwoOperands {
  template <auto op, class Length, class S>
  static auto compute(const Cpu& cpu, const Record& r, const S& s) {
    return apply<op>(Length::read(cpu, r.vvvv()), s);
  }
};
/// op(vvvv, rm, imm8)
struct TwoAndImmediate {
  template <auto op, class Length, class S>
  static auto compute(const Cpu& cpu, const Record& r, const S& s) {
    return apply<op>(Length::read(cpu, r.vvvv()), s, imm8(r));
  }
};
/// op(vvvv, rm, is4)
struct TwoAndMask {
  template <auto op, class Length, class S>
  static auto compute(const Cpu& cpu, const Record& r, const S& s) {
    return apply<op>(Length::read(cpu, r.vvvv()), s, Length::read(cpu, r.extra()));
  }
};
/// op(reg, vvvv, rm)
struct ThreeOperands {
  template <auto op, class Length, class S>
  static auto compute(const Cpu& cpu, const Record& r, const S& s) {
    return apply<op>(Length::read(cpu, r.reg), Length::read(cpu, r.vvvv()), s);
  }
};

template <class Form, auto op, class Length, class Source>
bool run_vex(Cpu& cpu, const Record& r) {
  typename Source::Value s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  write_vector(cpu, r.reg, Form::template compute<op, Length>(cpu, r, s));
  return true;
}
template <class Form, auto op, Tiny tiny, class Length, class Source>
bool run_vex_fp(Cpu& cpu, const Record& r) {
  typename Source::Value s;
  if (!Source::load(cpu, r, s)) [[unlikely]]
    return false;
  decltype(Form::template compute<op, Length>(cpu, r, s)) result;
  if (!compute_vector<tiny>(cpu, result, [&] { return Form::template compute<op, Length>(cpu, r, s); })) [[unlikely]]
    return false;
  write_vector(cpu, r.reg, result);
  return true;
}

template <class Form, auto op, class Memory>
Handler vex_form(const Decoded& d) {
  return by_length_and_source<Memory, only_256(op)>(
      d, []<class Length, class Source>() -> Handler { return run_plain<run_vex<Form, op, Length, Source>>; });
}
template <class Form, auto op, Tiny tiny, class Memory>
Handler vex_fp_form(const Decoded& d) {
  return by_length_and_source<Memory, only_256(op)>(
      d, []<class Length, class Source>() -> Handler { return run_plain<run_vex_fp<Form, op, tiny, Length, Source>>; });
}

/// --- The binders ---
template <auto op, class Memory = Full>
Handler vex(const Decoded& d) {
  return vex_form<TwoOperands, op, Memory>(d);
}
template <auto op, class Memory = Full>
Handler vex_imm(const Decoded& d) {
  return vex_form<TwoAndImmediate, op, Memory>(d);
}
template <auto op>
Handler vex_mask(const Decoded& d) {
  return vex_form<TwoAndMask, op, Full>(d);
}
template <auto op, class Memory = Full>
Handler vex_accumulate(const Decoded& d) {
  return vex_form<ThreeOperands, op, Memory>(d);
}
template <auto op, Tiny tiny = Tiny::Never, class Memory = Full>
Handler vex_fp(const Decoded& d) {
  return vex_fp_form<TwoOperands, op, tiny, Memory>(d);
}
template <auto op, Tiny tiny = Tiny::Never, class Memory = Full>
Handler vex_fp_imm(const Decoded& d) {
  return vex_fp_form<TwoAndImmediate, op, tiny, Memory>(d);
}
template <auto op, Tiny tiny = Tiny::Never, class Memory = Full>
Handler vex_fp_accumulate(const Decoded& d) {
  return vex_fp_form<ThreeOperands, op, tiny, Memory>(d);
}

/// Scalars ignore VEX.L: the same for an XMM register whatever the row's length. `Binder` is one of the above.
template <Binder binder>
Handler vex_scalar(const Decoded& d) {
  Decoded scalar = d;
  scalar.vector_bytes = 16;
  return binder(scalar);
}

/// Shifts by an immediate.
template <auto op, class Length>
bool run_vex_shift(Cpu& cpu, const Record& r) {
  write_vector(cpu, r.vvvv(), apply<op>(Length::read(cpu, r.rm), from64(imm8(r))));
  return true;
}
template <auto op>
Handler vex_shift(const Decoded& d) {
  return by_length(d, []<class Length>() -> Handler { return run_plain<run_vex_shift<op, Length>>; });
}

/// --- Stores ---
template <class Length, bool aligned>
bool run_vex_store(Cpu& cpu, const Record& r) {
  const auto value = Length::read(cpu, r.reg);
  if constexpr (!aligned) return cpu.store(r, value);
  u64 linear = 0;
  return aligned_address<sizeof(value)>(cpu, r, sizeof(value), AccessKind::Write, linear) &&
         cpu.store_linear(linear, value);
}
template <class Length, bool aligned>
bool run_vex_store_flat(Cpu& cpu, const Record& r) {
  const auto value = Length::read(cpu, r.reg);
  const u64 linear = flat_address(cpu, r);
  u8* host = cpu.mmu.fast().write(linear, sizeof(value));
  if (host == nullptr || (aligned && (linear & (sizeof(value) - 1)) != 0)) [[unlikely]]
    return run_vex_store<Length, aligned>(cpu, r);
  std::memcpy(host, &value, sizeof(value));
  return true;
}
template <auto op, class Length>
bool run_vex_reversed(Cpu& cpu, const Record& r) {
  write_vector(cpu, r.rm, apply<op>(Length::read(cpu, r.vvvv()), Length::read(cpu, r.reg)));
  return true;
}
/// The register form of a store.
template <auto op>
Handler vex_reversed(const Decoded& d) {
  return by_length(d, []<class Length>() -> Handler { return run_plain<run_vex_reversed<op, Length>>; });
}
/// A whole register: `Memory` is Full or FullAligned.
template <class Memory = Full>
Handler vex_store_memory(const Decoded& d) {
  return by_length(d, [&]<class Length>() -> Handler {
    constexpr bool aligned = SourceFor<Memory, Length>::InMemory::alignment != 1;
    return has_flat_address(d) ? run_plain<run_vex_store_flat<Length, aligned>>
                               : run_plain<run_vex_store<Length, aligned>>;
  });
}
template <auto op, class Memory = Full>
Handler vex_store(const Decoded& d) {
  return d.memory ? vex_store_memory<Memory>(d) : vex_reversed<op>(d);
}

/// --- Gathers ---
/// Offset in its segment of the element with this (sign-extended) index (SDM vol. 2, 2.3.12).
inline u64 vsib_offset(const Cpu& cpu, const Record& r, i64 index) {
  const u64 offset = cpu.effective_address(r) + (static_cast<u64>(index) << r.scale);
  return r.address_bytes() == 8 ? offset : static_cast<u32>(offset);
}

}  // namespace bunshin::sse
