// MUL, IMUL, DIV, IDIV, and the decimal adjustments (SDM vol. 2). After MUL and IMUL the manual leaves SF, ZF, AF and PF
// undefined; they follow the low half of the product here.

#include "core/execute/operands.h"

namespace bunshin {

namespace {

template <class T>
struct WideOf;
template <>
struct WideOf<u8> {
  using type = u16;
  using signed_type = i16;
};
template <>
struct WideOf<u16> {
  using type = u32;
  using signed_type = i32;
};
template <>
struct WideOf<u32> {
  using type = u64;
  using signed_type = i64;
};
template <>
struct WideOf<u64> {
  using type = u128;
  using signed_type = i128;
};
template <class T>
using Wide = typename WideOf<T>::type;
template <class T>
using SignedWide = typename WideOf<T>::signed_type;
template <class T>
using Signed = std::make_signed_t<T>;
template <class T>
inline constexpr unsigned bits_of = sizeof(T) * 8;

/// AX, DX:AX, EDX:EAX or RDX:RAX.
template <class T>
Wide<T> wide_accumulator(const Cpu& cpu) {
  if constexpr (sizeof(T) == 1)
    return cpu.reg<u16>(RAX);
  else
    return static_cast<Wide<T>>(Wide<T>{cpu.reg<T>(RDX * 8)} << bits_of<T> | cpu.reg<T>(RAX));
}

template <class T>
void set_halves(Cpu& cpu, T low, T high) {
  if constexpr (sizeof(T) == 1) {
    cpu.set_reg<u16>(RAX, static_cast<u16>(high << 8 | low));
  } else {
    cpu.set_reg<T>(RAX, low);
    cpu.set_reg<T>(RDX * 8, high);
  }
}

template <class T>
void set_product_flags(Cpu& cpu, T low, bool overflow) {
  cpu.state.flags.set_logic<T>(low);
  if (overflow) cpu.state.flags.change_status(rflags::CF | rflags::OF, rflags::CF | rflags::OF);
}

template <class T, class Rm>
bool mul(Cpu& cpu, const Record& r) {
  T source;
  if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
    return false;
  const auto product = static_cast<Wide<T>>(Wide<T>{cpu.reg<T>(RAX)} * source);
  const T high = static_cast<T>(product >> bits_of<T>);
  set_halves<T>(cpu, static_cast<T>(product), high);
  set_product_flags<T>(cpu, static_cast<T>(product), high != 0);
  return true;
}

template <class T>
SignedWide<T> signed_product(T a, T b) {
  return static_cast<SignedWide<T>>(SignedWide<T>{static_cast<Signed<T>>(a)} * static_cast<Signed<T>>(b));
}

template <class T>
bool fits(SignedWide<T> v) {
  return v == static_cast<Signed<T>>(v);
}

template <class T, class Rm>
bool imul_accumulator(Cpu& cpu, const Record& r) {
  T source;
  if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
    return false;
  const SignedWide<T> product = signed_product<T>(cpu.reg<T>(RAX), source);
  set_halves<T>(cpu, static_cast<T>(product), static_cast<T>(product >> bits_of<T>));
  set_product_flags<T>(cpu, static_cast<T>(product), !fits<T>(product));
  return true;
}

template <class T, class Rm>
bool imul_reg_rm(Cpu& cpu, const Record& r) {
  T source;
  if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
    return false;
  const SignedWide<T> product = signed_product<T>(cpu.reg<T>(r.reg), source);
  cpu.set_reg<T>(r.reg, static_cast<T>(product));
  set_product_flags<T>(cpu, static_cast<T>(product), !fits<T>(product));
  return true;
}

template <class T, class Rm>
bool imul_reg_rm_imm(Cpu& cpu, const Record& r) {
  T source;
  if (!Rm::template load<T>(cpu, r, source)) [[unlikely]]
    return false;
  const SignedWide<T> product = signed_product<T>(source, static_cast<T>(r.imm));
  cpu.set_reg<T>(r.reg, static_cast<T>(product));
  set_product_flags<T>(cpu, static_cast<T>(product), !fits<T>(product));
  return true;
}

/// Flags after a division are undefined; they stay as they are.
template <class T, class Rm>
bool div(Cpu& cpu, const Record& r) {
  T divisor;
  if (!Rm::template load<T>(cpu, r, divisor)) [[unlikely]]
    return false;
  const Wide<T> dividend = wide_accumulator<T>(cpu);
  if (divisor == 0 || (dividend >> bits_of<T>) >= divisor) [[unlikely]] {
    return cpu.raise(Vector::DE);
  }
  if constexpr (sizeof(T) == 8) {
    if ((dividend >> 64) == 0) {
      const auto low = static_cast<u64>(dividend);
      set_halves<u64>(cpu, low / divisor, low % divisor);
      return true;
    }
  }
  set_halves<T>(cpu, static_cast<T>(dividend / divisor), static_cast<T>(dividend % divisor));
  return true;
}

template <class T, class Rm>
bool idiv(Cpu& cpu, const Record& r) {
  T raw;
  if (!Rm::template load<T>(cpu, r, raw)) [[unlikely]]
    return false;
  const auto dividend = static_cast<SignedWide<T>>(wide_accumulator<T>(cpu));
  const SignedWide<T> divisor = static_cast<Signed<T>>(raw);
  // The most negative dividend by minus one overflows the host's division too.
  const bool host_overflow =
      divisor == -1 && dividend == static_cast<SignedWide<T>>(Wide<T>{1} << (2 * bits_of<T> - 1));
  if (divisor == 0 || host_overflow || !fits<T>(static_cast<SignedWide<T>>(dividend / divisor))) [[unlikely]] {
    return cpu.raise(Vector::DE);
  }
  set_halves<T>(cpu, static_cast<T>(dividend / divisor), static_cast<T>(dividend % divisor));
  return true;
}

Handler bind_mul(const Decoded& d) {
  return by_size_and_rm(
      d, []<class T, class Rm>() -> Handler { return with_fallback<Rm, mul<T, Rm>, mul<T, SegmentedMemory>>(); });
}
Handler bind_imul(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, imul_accumulator<T, Rm>, imul_accumulator<T, SegmentedMemory>>();
  });
}
Handler bind_imul_reg_rm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, imul_reg_rm<T, Rm>, imul_reg_rm<T, SegmentedMemory>>();
  });
}
Handler bind_imul_reg_rm_imm(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, imul_reg_rm_imm<T, Rm>, imul_reg_rm_imm<T, SegmentedMemory>>();
  });
}
Handler bind_div(const Decoded& d) {
  return by_size_and_rm(
      d, []<class T, class Rm>() -> Handler { return with_fallback<Rm, div<T, Rm>, div<T, SegmentedMemory>>(); });
}
Handler bind_idiv(const Decoded& d) {
  return by_size_and_rm(
      d, []<class T, class Rm>() -> Handler { return with_fallback<Rm, idiv<T, Rm>, idiv<T, SegmentedMemory>>(); });
}

// --- decimal adjustment ---

void finish_decimal(Cpu& cpu, u8 al, bool carry, bool adjust) {
  cpu.set_reg<u8>(RAX, al);
  cpu.state.flags.set_logic<u8>(al);
  cpu.state.flags.change_status(rflags::CF | rflags::AF, (carry ? rflags::CF : 0) | (adjust ? rflags::AF : 0));
}

template <int direction>
bool decimal_adjust(Cpu& cpu, const Record&) {
  const u8 old_al = cpu.reg<u8>(RAX);
  const bool old_carry = cpu.state.flags.cf();
  const bool adjust = (old_al & 0xf) > 9 || cpu.state.flags.af();
  bool carry = old_carry;
  u8 al = old_al;
  if (adjust) {
    if constexpr (direction < 0) carry = old_carry || old_al < 6;
    al = static_cast<u8>(al + direction * 6);
  }
  if (old_al > 0x99 || old_carry) {
    al = static_cast<u8>(al + direction * 0x60);
    carry = true;
  } else if constexpr (direction > 0) {
    carry = false;
  }
  finish_decimal(cpu, al, carry, adjust);
  return true;
}

template <int direction>
bool ascii_adjust(Cpu& cpu, const Record&) {
  const bool adjust = (cpu.reg<u8>(RAX) & 0xf) > 9 || cpu.state.flags.af();
  u16 ax = cpu.reg<u16>(RAX);
  if (adjust) ax = static_cast<u16>(ax + direction * 0x106);
  ax = static_cast<u16>(ax & 0xff0f);
  cpu.set_reg<u16>(RAX, ax);
  finish_decimal(cpu, static_cast<u8>(ax), adjust, adjust);
  return true;
}

bool aam(Cpu& cpu, const Record& r) {
  const auto base = static_cast<u8>(r.imm);
  if (base == 0) return cpu.raise(Vector::DE);
  const u8 al = cpu.reg<u8>(RAX);
  const u8 low = static_cast<u8>(al % base);
  cpu.set_reg<u16>(RAX, static_cast<u16>((al / base) << 8 | low));
  cpu.state.flags.set_logic<u8>(low);
  return true;
}

bool aad(Cpu& cpu, const Record& r) {
  const u16 ax = cpu.reg<u16>(RAX);
  const auto al = static_cast<u8>((ax & 0xff) + (ax >> 8) * static_cast<u8>(r.imm));
  cpu.set_reg<u16>(RAX, al);
  cpu.state.flags.set_logic<u8>(al);
  return true;
}

// clang-format off
const Row rows[] = {
    {"F6 /4", "mul", {Op::Eb}, bind_mul},
    {"F7 /4", "mul", {Op::Ev}, bind_mul},
    {"F6 /5", "imul", {Op::Eb}, bind_imul},
    {"F7 /5", "imul", {Op::Ev}, bind_imul},
    {"F6 /6", "div", {Op::Eb}, bind_div},
    {"F7 /6", "div", {Op::Ev}, bind_div},
    {"F6 /7", "idiv", {Op::Eb}, bind_idiv},
    {"F7 /7", "idiv", {Op::Ev}, bind_idiv},
    {"0F AF /r", "imul", {Op::Gv, Op::Ev}, bind_imul_reg_rm},
    {"69 /r", "imul", {Op::Gv, Op::Ev, Op::Iz}, bind_imul_reg_rm_imm},
    {"6B /r", "imul", {Op::Gv, Op::Ev, Op::Ibs}, bind_imul_reg_rm_imm},
    {"27", "daa", {}, plain<decimal_adjust<1>>, Feature::Base, attr::invalid64},
    {"2F", "das", {}, plain<decimal_adjust<-1>>, Feature::Base, attr::invalid64},
    {"37", "aaa", {}, plain<ascii_adjust<1>>, Feature::Base, attr::invalid64},
    {"3F", "aas", {}, plain<ascii_adjust<-1>>, Feature::Base, attr::invalid64},
    {"D4", "aam", {Op::Ib}, plain<aam>, Feature::Base, attr::invalid64},
    {"D5", "aad", {Op::Ib}, plain<aad>, Feature::Base, attr::invalid64},
};
// clang-format on

}  // namespace

std::span<const Row> multiply_rows() { return rows; }

}  // namespace bunshin
