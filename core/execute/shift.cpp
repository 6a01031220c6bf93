// Shifts and rotates: ROL, ROR, RCL, RCR, SHL, SHR, SAR, SHLD, SHRD (SDM vol. 2). Counts are masked to 5 bits (6 for 64-bit
// operands); a masked count of zero changes no flag. Where the manual leaves OF undefined (counts above one), it gets the
// value the one-bit rule gives for the last step, as current processors do.

#include "core/execute/operands.h"

namespace bunshin {

namespace {

template <class T>
inline constexpr unsigned bits_of = sizeof(T) * 8;

template <class T>
constexpr bool msb(T v) {
  return ((v >> (bits_of<T> - 1)) & 1) != 0;
}

template <class T>
u64 szp(T r) {
  return (r == 0 ? rflags::ZF : 0) | (msb(r) ? rflags::SF : 0) |
         ((std::popcount(static_cast<u8>(r)) & 1) == 0 ? rflags::PF : 0);
}

constexpr u64 carry_and_overflow(bool c, bool o) { return (c ? rflags::CF : 0) | (o ? rflags::OF : 0); }

template <class T>
constexpr unsigned masked(u64 count) {
  return static_cast<unsigned>(count) & (sizeof(T) == 8 ? 63 : 31);
}

struct Shl {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    const T before = n > bits_of<T> ? T{0} : static_cast<T>(u64{v} << (n - 1));  // one step short
    const T r = static_cast<T>(before << 1);
    flags.set_status(szp(r) | carry_and_overflow(msb(before), msb(before) != msb(r)));
    return r;
  }
};

struct Shr {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    const T before = n > bits_of<T> ? T{0} : static_cast<T>(v >> (n - 1));
    const T r = static_cast<T>(before >> 1);
    flags.set_status(szp(r) | carry_and_overflow((before & 1) != 0, msb(before)));
    return r;
  }
};

struct Sar {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    using Signed = std::make_signed_t<T>;
    const unsigned steps = n > bits_of<T> ? bits_of<T> : n;
    const auto before = static_cast<Signed>(static_cast<Signed>(v) >> (steps - 1));
    const T r = static_cast<T>(before >> 1);
    flags.set_status(szp(r) | carry_and_overflow((before & 1) != 0, false));
    return r;
  }
};

struct Rol {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    const T r = std::rotl(v, static_cast<int>(n % bits_of<T>));
    const bool c = (r & 1) != 0;
    flags.change_status(rflags::CF | rflags::OF, carry_and_overflow(c, c != msb(r)));
    return r;
  }
};

struct Ror {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    const T r = std::rotr(v, static_cast<int>(n % bits_of<T>));
    const bool c = msb(r);
    flags.change_status(rflags::CF | rflags::OF, carry_and_overflow(c, c != msb(static_cast<T>(r << 1))));
    return r;
  }
};

/// Through carry: a rotation of one bit more than the operand has.
struct Rcl {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    bool c = flags.cf();
    for (unsigned i = 0; i < n % (bits_of<T> + 1); ++i) {
      const bool out = msb(v);
      v = static_cast<T>(v << 1 | (c ? 1 : 0));
      c = out;
    }
    flags.change_status(rflags::CF | rflags::OF, carry_and_overflow(c, c != msb(v)));
    return v;
  }
};

struct Rcr {
  template <class T>
  static T apply(LazyFlags& flags, T v, unsigned n) {
    bool c = flags.cf();
    for (unsigned i = 0; i < n % (bits_of<T> + 1); ++i) {
      const bool out = (v & 1) != 0;
      v = static_cast<T>(v >> 1 | (c ? static_cast<T>(T{1} << (bits_of<T> - 1)) : T{0}));
      c = out;
    }
    flags.change_status(rflags::CF | rflags::OF, carry_and_overflow(c, msb(v) != msb(static_cast<T>(v << 1))));
    return v;
  }
};

/// The count as an immediate, as CL, or as one.
struct ByImmediate {
  static u64 count(const Cpu&, const Record& r) { return r.imm; }
};
struct ByCl {
  static u64 count(const Cpu& cpu, const Record&) { return cpu.state.gpr[RCX]; }
};
struct ByOne {
  static u64 count(const Cpu&, const Record&) { return 1; }
};

template <class Operation, class Count, class T, class Rm>
bool shift(Cpu& cpu, const Record& r) {
  const unsigned n = masked<T>(Count::count(cpu, r));
  LazyFlags& flags = cpu.state.flags;
  const bool done =
      Rm::template modify<T>(cpu, r, [&](T v) { return n == 0 ? v : Operation::template apply<T>(flags, v, n); });
  if (!done) [[unlikely]]
    return false;
  return true;
}

template <class Operation, class Count>
Handler bind_shift(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, shift<Operation, Count, T, Rm>, shift<Operation, Count, T, SegmentedMemory>>();
  });
}

/// SHLD and SHRD on 16-bit operands with counts above 16 rotate the concatenation again, as Intel processors do.
struct Shld {
  template <class T>
  static T apply(LazyFlags& flags, T v, T filler, unsigned n) {
    const u128 both = u128{v} << bits_of<T> | filler;
    const u128 source = sizeof(T) == 2 ? both << 16 | v : both;
    const unsigned width = sizeof(T) == 2 ? 48 : 2 * bits_of<T>;
    const T r = static_cast<T>(source >> (width - bits_of<T> - n));
    const bool c = ((source >> (width - n)) & 1) != 0;
    flags.set_status(szp(r) |
                     carry_and_overflow(c, msb(r) != msb(static_cast<T>(source >> (width - bits_of<T> - (n - 1))))));
    return r;
  }
};

struct Shrd {
  template <class T>
  static T apply(LazyFlags& flags, T v, T filler, unsigned n) {
    const u128 both = u128{filler} << bits_of<T> | v;
    const u128 source = sizeof(T) == 2 ? u128{v} << 32 | both : both;
    const T r = static_cast<T>(source >> n);
    const T before = static_cast<T>(source >> (n - 1));
    flags.set_status(szp(r) | carry_and_overflow((before & 1) != 0, msb(r) != msb(before)));
    return r;
  }
};

template <class Operation, class Count, class T, class Rm>
bool double_shift(Cpu& cpu, const Record& r) {
  const unsigned n = masked<T>(Count::count(cpu, r));
  const T filler = cpu.reg<T>(r.reg);
  LazyFlags& flags = cpu.state.flags;
  const bool done = Rm::template modify<T>(
      cpu, r, [&](T v) { return n == 0 ? v : Operation::template apply<T>(flags, v, filler, n); });
  if (!done) [[unlikely]]
    return false;
  return true;
}

template <class Operation, class Count>
Handler bind_double_shift(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, double_shift<Operation, Count, T, Rm>,
                         double_shift<Operation, Count, T, SegmentedMemory>>();
  });
}

// clang-format off
const Row rows[] = {
    {"C0 /0", "rol", {Op::Eb, Op::Ib}, bind_shift<Rol, ByImmediate>},
    {"C0 /1", "ror", {Op::Eb, Op::Ib}, bind_shift<Ror, ByImmediate>},
    {"C0 /2", "rcl", {Op::Eb, Op::Ib}, bind_shift<Rcl, ByImmediate>},
    {"C0 /3", "rcr", {Op::Eb, Op::Ib}, bind_shift<Rcr, ByImmediate>},
    {"C0 /4", "shl", {Op::Eb, Op::Ib}, bind_shift<Shl, ByImmediate>},
    {"C0 /5", "shr", {Op::Eb, Op::Ib}, bind_shift<Shr, ByImmediate>},
    {"C0 /6", "shl", {Op::Eb, Op::Ib}, bind_shift<Shl, ByImmediate>},
    {"C0 /7", "sar", {Op::Eb, Op::Ib}, bind_shift<Sar, ByImmediate>},
    {"C1 /0", "rol", {Op::Ev, Op::Ib}, bind_shift<Rol, ByImmediate>},
    {"C1 /1", "ror", {Op::Ev, Op::Ib}, bind_shift<Ror, ByImmediate>},
    {"C1 /2", "rcl", {Op::Ev, Op::Ib}, bind_shift<Rcl, ByImmediate>},
    {"C1 /3", "rcr", {Op::Ev, Op::Ib}, bind_shift<Rcr, ByImmediate>},
    {"C1 /4", "shl", {Op::Ev, Op::Ib}, bind_shift<Shl, ByImmediate>},
    {"C1 /5", "shr", {Op::Ev, Op::Ib}, bind_shift<Shr, ByImmediate>},
    {"C1 /6", "shl", {Op::Ev, Op::Ib}, bind_shift<Shl, ByImmediate>},
    {"C1 /7", "sar", {Op::Ev, Op::Ib}, bind_shift<Sar, ByImmediate>},
    {"D0 /0", "rol", {Op::Eb, Op::One}, bind_shift<Rol, ByOne>},
    {"D0 /1", "ror", {Op::Eb, Op::One}, bind_shift<Ror, ByOne>},
    {"D0 /2", "rcl", {Op::Eb, Op::One}, bind_shift<Rcl, ByOne>},
    {"D0 /3", "rcr", {Op::Eb, Op::One}, bind_shift<Rcr, ByOne>},
    {"D0 /4", "shl", {Op::Eb, Op::One}, bind_shift<Shl, ByOne>},
    {"D0 /5", "shr", {Op::Eb, Op::One}, bind_shift<Shr, ByOne>},
    {"D0 /6", "shl", {Op::Eb, Op::One}, bind_shift<Shl, ByOne>},
    {"D0 /7", "sar", {Op::Eb, Op::One}, bind_shift<Sar, ByOne>},
    {"D1 /0", "rol", {Op::Ev, Op::One}, bind_shift<Rol, ByOne>},
    {"D1 /1", "ror", {Op::Ev, Op::One}, bind_shift<Ror, ByOne>},
    {"D1 /2", "rcl", {Op::Ev, Op::One}, bind_shift<Rcl, ByOne>},
    {"D1 /3", "rcr", {Op::Ev, Op::One}, bind_shift<Rcr, ByOne>},
    {"D1 /4", "shl", {Op::Ev, Op::One}, bind_shift<Shl, ByOne>},
    {"D1 /5", "shr", {Op::Ev, Op::One}, bind_shift<Shr, ByOne>},
    {"D1 /6", "shl", {Op::Ev, Op::One}, bind_shift<Shl, ByOne>},
    {"D1 /7", "sar", {Op::Ev, Op::One}, bind_shift<Sar, ByOne>},
    {"D2 /0", "rol", {Op::Eb, Op::Cl}, bind_shift<Rol, ByCl>},
    {"D2 /1", "ror", {Op::Eb, Op::Cl}, bind_shift<Ror, ByCl>},
    {"D2 /2", "rcl", {Op::Eb, Op::Cl}, bind_shift<Rcl, ByCl>},
    {"D2 /3", "rcr", {Op::Eb, Op::Cl}, bind_shift<Rcr, ByCl>},
    {"D2 /4", "shl", {Op::Eb, Op::Cl}, bind_shift<Shl, ByCl>},
    {"D2 /5", "shr", {Op::Eb, Op::Cl}, bind_shift<Shr, ByCl>},
    {"D2 /6", "shl", {Op::Eb, Op::Cl}, bind_shift<Shl, ByCl>},
    {"D2 /7", "sar", {Op::Eb, Op::Cl}, bind_shift<Sar, ByCl>},
    {"D3 /0", "rol", {Op::Ev, Op::Cl}, bind_shift<Rol, ByCl>},
    {"D3 /1", "ror", {Op::Ev, Op::Cl}, bind_shift<Ror, ByCl>},
    {"D3 /2", "rcl", {Op::Ev, Op::Cl}, bind_shift<Rcl, ByCl>},
    {"D3 /3", "rcr", {Op::Ev, Op::Cl}, bind_shift<Rcr, ByCl>},
    {"D3 /4", "shl", {Op::Ev, Op::Cl}, bind_shift<Shl, ByCl>},
    {"D3 /5", "shr", {Op::Ev, Op::Cl}, bind_shift<Shr, ByCl>},
    {"D3 /6", "shl", {Op::Ev, Op::Cl}, bind_shift<Shl, ByCl>},
    {"D3 /7", "sar", {Op::Ev, Op::Cl}, bind_shift<Sar, ByCl>},
    {"0F A4 /r", "shld", {Op::Ev, Op::Gv, Op::Ib}, bind_double_shift<Shld, ByImmediate>},
    {"0F A5 /r", "shld", {Op::Ev, Op::Gv, Op::Cl}, bind_double_shift<Shld, ByCl>},
    {"0F AC /r", "shrd", {Op::Ev, Op::Gv, Op::Ib}, bind_double_shift<Shrd, ByImmediate>},
    {"0F AD /r", "shrd", {Op::Ev, Op::Gv, Op::Cl}, bind_double_shift<Shrd, ByCl>},
};
// clang-format on

}  // namespace

std::span<const Row> shift_rows() { return rows; }

}  // namespace bunshin
