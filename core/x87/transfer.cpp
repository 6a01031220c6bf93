#include "core/x87/transfer.h"

#include <optional>
#include <utility>

namespace bunshin::x87 {

namespace {

/// Pushes what the host converts, unless the stack is full or an unmasked invalid-operation exception prevents it. A
/// denormal is pushed even if that exception is unmasked: processors complete the load and then report it.
template <class Source>
void load_converted(X87State& s, Source source) {
  if (!is_empty(s, 7)) {
    if (stack_overflow(s)) push_unchecked(s, indefinite);
    return;
  }
  const host::Result r = host::load(control_of(s), source);
  if (masked(s, r.status & IE)) push_unchecked(s, r.value);
  signal(s, r.status);
}

/// Normal numbers and zeros of a narrower format convert exactly and raise nothing: no need to ask the host.
template <unsigned exponent_bits, unsigned fraction_bits>
std::optional<X87Register> widen(u64 bits) {
  constexpr unsigned special = (1u << exponent_bits) - 1;
  constexpr unsigned bias = special >> 1;
  const unsigned exponent = static_cast<unsigned>(bits >> fraction_bits) & special;
  const u64 fraction = bits << (64 - fraction_bits) >> 1;
  const unsigned sign = static_cast<unsigned>(bits >> (exponent_bits + fraction_bits)) << 15;
  if (exponent != 0 && exponent != special) [[likely]] {
    return X87Register{fraction | u64{1} << 63, static_cast<u16>(sign | (exponent + 16383 - bias))};
  }
  if (exponent == 0 && fraction == 0) return X87Register{0, static_cast<u16>(sign)};
  return std::nullopt;
}

/// The reverse, where it is exact.
template <unsigned exponent_bits, unsigned fraction_bits>
std::optional<u64> narrow(const X87Register& r) {
  constexpr unsigned special = (1u << exponent_bits) - 1;
  constexpr unsigned bias = special >> 1;
  const u64 sign = u64{r.sign_exponent} >> 15 << (exponent_bits + fraction_bits);
  const int exponent = (r.sign_exponent & 0x7fff) - 16383 + static_cast<int>(bias);
  const u64 lost = r.mantissa << (fraction_bits + 1);
  if ((r.mantissa >> 63) != 0 && lost == 0 && exponent > 0 && exponent < static_cast<int>(special)) {
    return sign | static_cast<u64>(exponent) << fraction_bits | r.mantissa << 1 >> (64 - fraction_bits);
  }
  if (r.mantissa == 0 && (r.sign_exponent & 0x7fff) == 0) return sign;
  return std::nullopt;
}

template <class T, class Convert>
PreparedStore<T> prepare(const X87State& s, const T& if_empty, Convert convert) {
  if (is_empty(s, 0)) return {if_empty, IE | SF, masked(s, IE)};
  const host::Stored<T> r = convert(st(s, 0));
  constexpr u16 preventing = before_operation | OE | UE;
  return {r.value, r.status, (r.status & ~s.control & preventing) == 0};
}

}  // namespace

void load(X87State& s, Float32 source) {
  if (const auto exact = widen<8, 23>(source.bits)) return load(s, *exact);
  load_converted(s, source);
}

void load(X87State& s, Float64 source) {
  if (const auto exact = widen<11, 52>(source.bits)) return load(s, *exact);
  load_converted(s, source);
}

void load(X87State& s, const X87Register& source) {
  if (!is_empty(s, 7)) {
    if (stack_overflow(s)) push_unchecked(s, indefinite);
    return;
  }
  push_unchecked(s, source);
  signal(s, 0);
}

void load(X87State& s, const host::Bcd& source) { load_converted<const host::Bcd&>(s, source); }

void load(X87State& s, unsigned i) {
  if (is_empty(s, i)) {
    if (stack_underflow(s)) push_unchecked(s, indefinite);
    return;
  }
  const X87Register value = st(s, i);
  load(s, value);
}

void load_constant(X87State& s, host::Constant c) { load(s, host::constant(control_of(s), c)); }

PreparedStore<u32> prepare_float32(const X87State& s) {
  return prepare<u32>(s, 0xffc00000, [&s](const X87Register& r) -> host::Stored<u32> {
    if (const auto exact = narrow<8, 23>(r)) return {static_cast<u32>(*exact), 0};
    return host::store_float32(control_of(s), r);
  });
}

PreparedStore<u64> prepare_float64(const X87State& s) {
  return prepare<u64>(s, 0xfff8000000000000ULL, [&s](const X87Register& r) -> host::Stored<u64> {
    if (const auto exact = narrow<11, 52>(r)) return {*exact, 0};
    return host::store_float64(control_of(s), r);
  });
}

PreparedStore<X87Register> prepare_float80(const X87State& s) {
  return prepare<X87Register>(s, indefinite, [](const X87Register& r) { return host::Stored<X87Register>{r, 0}; });
}

PreparedStore<u16> prepare_int16(const X87State& s, bool truncate) {
  return prepare<u16>(s, 0x8000, [&](const X87Register& r) { return host::store_int16(control_of(s), r, truncate); });
}

PreparedStore<u32> prepare_int32(const X87State& s, bool truncate) {
  return prepare<u32>(s, 0x80000000,
                      [&](const X87Register& r) { return host::store_int32(control_of(s), r, truncate); });
}

PreparedStore<u64> prepare_int64(const X87State& s, bool truncate) {
  return prepare<u64>(s, u64{1} << 63,
                      [&](const X87Register& r) { return host::store_int64(control_of(s), r, truncate); });
}

PreparedStore<host::Bcd> prepare_bcd(const X87State& s) {
  constexpr host::Bcd indefinite_bcd{0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
  return prepare<host::Bcd>(s, indefinite_bcd, [&](const X87Register& r) { return host::store_bcd(control_of(s), r); });
}

void commit_store(X87State& s, u16 status, bool written, bool then_pop) {
  signal(s, status);
  if (written && then_pop) pop(s);
}

void store(X87State& s, unsigned i, bool then_pop) {
  if (is_empty(s, 0)) {
    if (!stack_underflow(s)) return;
    set_st(s, i, indefinite);
  } else {
    set_st(s, i, st(s, 0));
    signal(s, 0);
  }
  if (then_pop) pop(s);
}

void store_without_fault(X87State& s, unsigned i) {
  if (!is_empty(s, 0)) return store(s, i, true);
  signal(s, 0);
  pop(s);
}

void exchange(X87State& s, unsigned i) {
  if (is_empty(s, 0) || is_empty(s, i)) {
    if (!stack_underflow(s)) return;
    if (is_empty(s, 0)) set_st(s, 0, indefinite);
    if (is_empty(s, i)) set_st(s, i, indefinite);
  } else {
    signal(s, 0);
  }
  std::swap(st(s, 0), st(s, i));
}

void move_if(X87State& s, unsigned i, bool condition) {
  if (is_empty(s, 0) || is_empty(s, i)) {
    if (stack_underflow(s)) set_st(s, 0, indefinite);
    return;
  }
  if (condition) set_st(s, 0, st(s, i));
}

void free_register(X87State& s, unsigned i, bool then_pop) {
  mark_empty(s, i);
  signal(s, 0);
  if (then_pop) pop(s);
}

void rotate(X87State& s, int by) {
  s.top = static_cast<u8>((s.top + by) & 7);
  signal(s, 0);
}

}  // namespace bunshin::x87
