// Bit tests and scans: BT, BTS, BTR, BTC, BSF, BSR, TZCNT, LZCNT, POPCNT (SDM vol. 2).

#include "core/execute/operands.h"

namespace bunshin {

namespace {

template <class T>
inline constexpr unsigned bits_of = sizeof(T) * 8;

struct Test {
  static constexpr bool writes = false;
  template <class T>
  static T apply(T v, T) {
    return v;
  }
};
struct Set {
  static constexpr bool writes = true;
  template <class T>
  static T apply(T v, T mask) {
    return static_cast<T>(v | mask);
  }
};
struct Reset {
  static constexpr bool writes = true;
  template <class T>
  static T apply(T v, T mask) {
    return static_cast<T>(v & ~mask);
  }
};
struct Complement {
  static constexpr bool writes = true;
  template <class T>
  static T apply(T v, T mask) {
    return static_cast<T>(v ^ mask);
  }
};

void set_carry(Cpu& cpu, bool carry) { cpu.state.flags.change_status(rflags::CF, carry ? rflags::CF : 0); }

/// With the bit number as an immediate, or with a register destination: it counts within the operand.
template <class Operation, bool immediate, class T, class Rm>
bool bit_in_operand(Cpu& cpu, const Record& r) {
  const u64 number = (immediate ? r.imm : u64{cpu.reg<T>(r.reg)}) % bits_of<T>;
  const T mask = static_cast<T>(T{1} << number);
  T value{};
  bool done = false;
  if constexpr (Operation::writes) {
    done = Rm::template modify<T>(cpu, r, [&](T old) {
      value = old;
      return Operation::template apply<T>(old, mask);
    });
  } else {
    done = Rm::template load<T>(cpu, r, value);
  }
  if (!done) [[unlikely]]
    return false;
  set_carry(cpu, (value & mask) != 0);
  return true;
}

/// With the bit number in a register and memory: a signed index into a bit string.
template <class Operation, class T>
struct BitString {
  static bool run(Cpu& cpu, const Record& r) {
    const auto number = static_cast<i64>(static_cast<std::make_signed_t<T>>(cpu.reg<T>(r.reg)));
    const i64 element = number >> std::countr_zero(bits_of<T>);
    u64 offset = cpu.effective_address(r) + static_cast<u64>(element * static_cast<i64>(sizeof(T)));
    if (r.address_bytes() != 8) offset = r.address_bytes() == 4 ? static_cast<u32>(offset) : static_cast<u16>(offset);
    const T mask = static_cast<T>(T{1} << (static_cast<u64>(number) % bits_of<T>));
    const Seg segment = cpu.segment_of(r);
    T value;
    if constexpr (Operation::writes) {
      if (!cpu.probe_write(segment, offset, sizeof(T))) return false;
    }
    if (!cpu.load(segment, offset, value)) return false;
    if constexpr (Operation::writes) {
      if (!cpu.store(segment, offset, Operation::template apply<T>(value, mask))) return false;
    }
    set_carry(cpu, (value & mask) != 0);
    return true;
  }
};

template <class Operation>
Handler bind_bit_register(const Decoded& d) {
  return by_size(d, [&]<class T>() -> Handler {
    if (d.memory) return run_plain<&BitString<Operation, T>::run>;
    return run_plain<bit_in_operand<Operation, false, T, RegisterRm>>;
  });
}
template <class Operation>
Handler bind_bit_immediate(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, bit_in_operand<Operation, true, T, Rm>,
                         bit_in_operand<Operation, true, T, SegmentedMemory>>();
  });
}

/// A zero source sets ZF and leaves the destination, as processors do though the manual calls it undefined.
template <bool reverse, class T, class Rm>
bool bit_scan(Cpu& cpu, const Record& r) {
  T v;
  if (!Rm::template load<T>(cpu, r, v)) [[unlikely]]
    return false;
  cpu.state.flags.change_status(rflags::ZF, v == 0 ? rflags::ZF : 0);
  if (v != 0) cpu.set_reg<T>(r.reg, static_cast<T>(reverse ? std::bit_width(v) - 1 : std::countr_zero(v)));
  return true;
}

template <bool leading, class T, class Rm>
bool zero_count(Cpu& cpu, const Record& r) {
  T v;
  if (!Rm::template load<T>(cpu, r, v)) [[unlikely]]
    return false;
  const T n = static_cast<T>(leading ? std::countl_zero(v) : std::countr_zero(v));
  cpu.set_reg<T>(r.reg, n);
  cpu.state.flags.change_status(rflags::ZF | rflags::CF, (n == 0 ? rflags::ZF : 0) | (v == 0 ? rflags::CF : 0));
  return true;
}

template <class T, class Rm>
bool popcnt(Cpu& cpu, const Record& r) {
  T v;
  if (!Rm::template load<T>(cpu, r, v)) [[unlikely]]
    return false;
  cpu.set_reg<T>(r.reg, static_cast<T>(std::popcount(v)));
  cpu.state.flags.set_status(v == 0 ? rflags::ZF : 0);
  return true;
}

template <bool reverse>
Handler bind_bit_scan(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, bit_scan<reverse, T, Rm>, bit_scan<reverse, T, SegmentedMemory>>();
  });
}
template <bool leading>
Handler bind_zero_count(const Decoded& d) {
  return by_size_and_rm(d, []<class T, class Rm>() -> Handler {
    return with_fallback<Rm, zero_count<leading, T, Rm>, zero_count<leading, T, SegmentedMemory>>();
  });
}
Handler bind_popcnt(const Decoded& d) {
  return by_size_and_rm(
      d, []<class T, class Rm>() -> Handler { return with_fallback<Rm, popcnt<T, Rm>, popcnt<T, SegmentedMemory>>(); });
}

constexpr u32 lock = attr::lockable;

// clang-format off
const Row rows[] = {
    {"0F A3 /r", "bt", {Op::Ev, Op::Gv}, bind_bit_register<Test>},
    {"0F AB /r", "bts", {Op::Ev, Op::Gv}, bind_bit_register<Set>, Feature::Base, lock},
    {"0F B3 /r", "btr", {Op::Ev, Op::Gv}, bind_bit_register<Reset>, Feature::Base, lock},
    {"0F BB /r", "btc", {Op::Ev, Op::Gv}, bind_bit_register<Complement>, Feature::Base, lock},
    {"0F BA /4", "bt", {Op::Ev, Op::Ib}, bind_bit_immediate<Test>},
    {"0F BA /5", "bts", {Op::Ev, Op::Ib}, bind_bit_immediate<Set>, Feature::Base, lock},
    {"0F BA /6", "btr", {Op::Ev, Op::Ib}, bind_bit_immediate<Reset>, Feature::Base, lock},
    {"0F BA /7", "btc", {Op::Ev, Op::Ib}, bind_bit_immediate<Complement>, Feature::Base, lock},
    {"0F BC /r", "bsf", {Op::Gv, Op::Ev}, bind_bit_scan<false>},
    {"0F BD /r", "bsr", {Op::Gv, Op::Ev}, bind_bit_scan<true>},
    {"F3 0F BC /r", "tzcnt", {Op::Gv, Op::Ev}, bind_zero_count<false>, Feature::Bmi1},
    {"F3 0F BD /r", "lzcnt", {Op::Gv, Op::Ev}, bind_zero_count<true>, Feature::Lzcnt},
    {"F3 0F B8 /r", "popcnt", {Op::Gv, Op::Ev}, bind_popcnt, Feature::Popcnt},
};
// clang-format on

}  // namespace

std::span<const Row> bit_rows() { return rows; }

}  // namespace bunshin
