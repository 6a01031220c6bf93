// BMI1 and BMI2: general registers in VEX encoding (SDM vol. 2). The operand size is 64 bits with VEX.W in 64-bit mode,
// else 32. TZCNT, whose encoding is a legacy one, is in bits.cpp.

#include "core/execute/operands.h"

namespace bunshin {

namespace {

template <class T>
inline constexpr unsigned bits_of = sizeof(T) * 8;

/// SF and ZF of the result, CF as given, OF clear; AF and PF are undefined and follow the logic instructions.
template <class T>
void set_flags(Cpu& cpu, T result, bool carry) {
  cpu.state.flags.set_logic<T>(result);
  if (carry) cpu.state.flags.change_status(rflags::CF, rflags::CF);
}

/// The low `count` bits.
template <class T>
T low_bits(T value, unsigned count) {
  return count >= bits_of<T> ? value : static_cast<T>(value & ((T{1} << count) - 1));
}

/// --- Operations: result of vvvv and the ModRM.rm operand ---
struct Andn {
  template <class T>
  static T apply(Cpu& cpu, T first, T second) {
    const T result = ~first & second;
    set_flags<T>(cpu, result, false);
    return result;
  }
};
/// The bit field of the ModRM.rm operand that vvvv tells: start in bits 7:0, length in bits 15:8.
struct Bextr {
  template <class T>
  static T apply(Cpu& cpu, T control, T source) {
    const unsigned start = control & 0xff;
    const T shifted = start >= bits_of<T> ? 0 : source >> start;
    const T result = low_bits<T>(shifted, (control >> 8) & 0xff);
    set_flags<T>(cpu, result, false);
    return result;
  }
};
struct Bzhi {
  template <class T>
  static T apply(Cpu& cpu, T index, T source) {
    const unsigned count = index & 0xff;
    const T result = low_bits<T>(source, count);
    set_flags<T>(cpu, result, count >= bits_of<T>);
    return result;
  }
};
/// Scatters the low bits of vvvv to where the mask has ones.
struct Pdep {
  template <class T>
  static T apply(Cpu&, T source, T mask) {
    T result = 0;
    for (; mask != 0; mask &= mask - 1, source >>= 1) {
      if ((source & 1) != 0) result |= mask & (T{0} - mask);
    }
    return result;
  }
};
/// Gathers the bits of vvvv where the mask has ones.
struct Pext {
  template <class T>
  static T apply(Cpu&, T source, T mask) {
    T result = 0;
    for (T next = 1; mask != 0; mask &= mask - 1, next <<= 1) {
      if ((source & mask & (T{0} - mask)) != 0) result |= next;
    }
    return result;
  }
};
struct Sarx {
  template <class T>
  static T apply(Cpu&, T count, T source) {
    return static_cast<T>(static_cast<std::make_signed_t<T>>(source) >> (count % bits_of<T>));
  }
};
struct Shlx {
  template <class T>
  static T apply(Cpu&, T count, T source) {
    return static_cast<T>(source << (count % bits_of<T>));
  }
};
struct Shrx {
  template <class T>
  static T apply(Cpu&, T count, T source) {
    return static_cast<T>(source >> (count % bits_of<T>));
  }
};

/// --- Operations of one operand, whose destination is vvvv ---
struct Blsi {
  template <class T>
  static T apply(Cpu& cpu, T source) {
    const T result = source & (T{0} - source);
    set_flags<T>(cpu, result, source != 0);
    return result;
  }
};
struct Blsmsk {
  template <class T>
  static T apply(Cpu& cpu, T source) {
    const T result = source ^ (source - 1);
    set_flags<T>(cpu, result, source == 0);
    return result;
  }
};
struct Blsr {
  template <class T>
  static T apply(Cpu& cpu, T source) {
    const T result = source & (source - 1);
    set_flags<T>(cpu, result, source == 0);
    return result;
  }
};

/// --- The forms of operands ---
template <class Operation, class T, class Rm>
struct ToReg {
  static bool run(Cpu& cpu, const Record& r) {
    T source;
    if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
      return false;
    cpu.set_reg<T>(r.reg, Operation::template apply<T>(cpu, cpu.reg<T>(r.vvvv()), source));
    return true;
  }
};
template <class Operation, class T, class Rm>
struct ToVvvv {
  static bool run(Cpu& cpu, const Record& r) {
    T source;
    if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
      return false;
    cpu.set_reg<T>(r.vvvv(), Operation::template apply<T>(cpu, source));
    return true;
  }
};
/// The high half of RDX × source is written last: it stays if both destinations are one register.
template <class, class T, class Rm>
struct Mulx {
  static bool run(Cpu& cpu, const Record& r) {
    using Wide = std::conditional_t<sizeof(T) == 8, u128, u64>;
    T source;
    if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
      return false;
    const Wide product = Wide{cpu.reg<T>(RDX * 8)} * source;
    cpu.set_reg<T>(r.vvvv(), static_cast<T>(product));
    cpu.set_reg<T>(r.reg, static_cast<T>(product >> bits_of<T>));
    return true;
  }
};
template <class, class T, class Rm>
struct Rorx {
  static bool run(Cpu& cpu, const Record& r) {
    T source;
    if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
      return false;
    cpu.set_reg<T>(r.reg, std::rotr(source, static_cast<int>(r.imm % bits_of<T>)));
    return true;
  }
};

template <template <class, class, class> class Form, class Operation = void>
Handler bind(const Decoded& d) {
  const auto choose = [&]<class T>() {
    return by_rm(d, []<class Rm>() -> Handler {
      return with_fallback<Rm, &Form<Operation, T, Rm>::run, &Form<Operation, T, SegmentedMemory>::run>();
    });
  };
  return d.operand_bytes == 8 ? choose.template operator()<u64>() : choose.template operator()<u32>();
}

// clang-format off
constexpr Row rows[] = {
    {"VEX.LZ.NP.0F38 F2 /r", "andn", {Op::Gy, Op::By, Op::Ey}, bind<ToReg, Andn>, Feature::Bmi1},
    {"VEX.LZ.NP.0F38 F3 /1", "blsr", {Op::By, Op::Ey}, bind<ToVvvv, Blsr>, Feature::Bmi1},
    {"VEX.LZ.NP.0F38 F3 /2", "blsmsk", {Op::By, Op::Ey}, bind<ToVvvv, Blsmsk>, Feature::Bmi1},
    {"VEX.LZ.NP.0F38 F3 /3", "blsi", {Op::By, Op::Ey}, bind<ToVvvv, Blsi>, Feature::Bmi1},
    {"VEX.LZ.NP.0F38 F7 /r", "bextr", {Op::Gy, Op::Ey, Op::By}, bind<ToReg, Bextr>, Feature::Bmi1},

    {"VEX.LZ.NP.0F38 F5 /r", "bzhi", {Op::Gy, Op::Ey, Op::By}, bind<ToReg, Bzhi>, Feature::Bmi2},
    {"VEX.LZ.F2.0F38 F5 /r", "pdep", {Op::Gy, Op::By, Op::Ey}, bind<ToReg, Pdep>, Feature::Bmi2},
    {"VEX.LZ.F3.0F38 F5 /r", "pext", {Op::Gy, Op::By, Op::Ey}, bind<ToReg, Pext>, Feature::Bmi2},
    {"VEX.LZ.F2.0F38 F6 /r", "mulx", {Op::Gy, Op::By, Op::Ey}, bind<Mulx>, Feature::Bmi2},
    {"VEX.LZ.F3.0F38 F7 /r", "sarx", {Op::Gy, Op::Ey, Op::By}, bind<ToReg, Sarx>, Feature::Bmi2},
    {"VEX.LZ.66.0F38 F7 /r", "shlx", {Op::Gy, Op::Ey, Op::By}, bind<ToReg, Shlx>, Feature::Bmi2},
    {"VEX.LZ.F2.0F38 F7 /r", "shrx", {Op::Gy, Op::Ey, Op::By}, bind<ToReg, Shrx>, Feature::Bmi2},
    {"VEX.LZ.F2.0F3A F0 /r", "rorx", {Op::Gy, Op::Ey, Op::Ib}, bind<Rorx>, Feature::Bmi2},
};
// clang-format on

}  // namespace

std::span<const Row> bit_manipulation_rows() { return rows; }

}  // namespace bunshin
