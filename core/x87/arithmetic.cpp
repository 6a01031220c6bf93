#include "core/x87/arithmetic.h"

#include <bit>

namespace bunshin::x87 {

namespace {

constexpr u16 unordered = C3 | C2 | C0;

bool happened(const X87State& s, u16 status) { return (status & ~s.control & before_operation) == 0; }

template <class Source>
void arithmetic_with_memory(X87State& s, Arithmetic op, Source source) {
  if (is_empty(s, 0)) {
    if (stack_underflow(s)) set_st(s, 0, indefinite);
    return;
  }
  const host::Result r = host::arithmetic(control_of(s), op, st(s, 0), source);
  if (happened(s, r.status)) set_st(s, 0, r.value);
  signal(s, r.status);
}

void pop_times(X87State& s, unsigned pops) {
  for (unsigned i = 0; i < pops; ++i) pop(s);
}

/// An operand is empty: unordered, if the exception is masked.
void compare_empty(X87State& s, unsigned pops) {
  if (!stack_underflow(s)) return;
  s.status |= unordered;
  pop_times(s, pops);
}

void compared(X87State& s, u16 status, unsigned pops) {
  const bool done = happened(s, status);
  signal(s, static_cast<u16>(status & ~C1), done ? conditions : C1);
  if (done) pop_times(s, pops);
}

template <class Source>
void compare_with_memory(X87State& s, Source source, unsigned pops) {
  if (is_empty(s, 0)) return compare_empty(s, pops);
  compared(s, host::compare(control_of(s), st(s, 0), source), pops);
}

}  // namespace

bool stack_underflow(X87State& s, u16 cleared) {
  signal(s, IE | SF, cleared);
  return masked(s, IE);
}

bool stack_overflow(X87State& s, u16 cleared) {
  signal(s, IE | SF | C1, cleared);
  return masked(s, IE);
}

X87Register from_integer(i64 v) {
  if (v == 0) return {0, 0};
  const u64 magnitude = v < 0 ? u64{0} - static_cast<u64>(v) : static_cast<u64>(v);
  const unsigned shift = static_cast<unsigned>(std::countl_zero(magnitude));
  return {magnitude << shift, static_cast<u16>((v < 0 ? 0x8000u : 0u) | (16383u + 63u - shift))};
}

void arithmetic(X87State& s, Arithmetic op, unsigned destination, unsigned source, bool then_pop) {
  if (is_empty(s, destination) || is_empty(s, source)) {
    if (!stack_underflow(s)) return;
    set_st(s, destination, indefinite);
    if (then_pop) pop(s);
    return;
  }
  const host::Result r = host::arithmetic(control_of(s), op, st(s, destination), st(s, source));
  if (happened(s, r.status)) {
    set_st(s, destination, r.value);
    if (then_pop) pop(s);
  }
  signal(s, r.status);
}

void arithmetic(X87State& s, Arithmetic op, Float32 source) { arithmetic_with_memory(s, op, source); }
void arithmetic(X87State& s, Arithmetic op, Float64 source) { arithmetic_with_memory(s, op, source); }
void arithmetic(X87State& s, Arithmetic op, i32 source) { arithmetic_with_memory(s, op, from_integer(source)); }

void compare(X87State& s, bool quiet, unsigned i, unsigned pops) {
  if (is_empty(s, 0) || is_empty(s, i)) return compare_empty(s, pops);
  compared(s, host::compare(control_of(s), quiet, st(s, 0), st(s, i)), pops);
}

void compare(X87State& s, Float32 source, unsigned pops) { compare_with_memory(s, source, pops); }
void compare(X87State& s, Float64 source, unsigned pops) { compare_with_memory(s, source, pops); }

void compare(X87State& s, i32 source, unsigned pops) {
  if (is_empty(s, 0)) return compare_empty(s, pops);
  compared(s, host::compare(control_of(s), false, st(s, 0), from_integer(source)), pops);
}

void test(X87State& s) { compare(s, 0, 0); }

void examine(X87State& s) {
  const X87Register& r = st(s, 0);
  const unsigned exponent = r.sign_exponent & 0x7fffu;
  const bool integer_bit = (r.mantissa >> 63) != 0;
  u16 kind = 0;
  if (is_empty(s, 0)) {
    kind = C3 | C0;
  } else if (exponent == 0) {
    kind = r.mantissa == 0 ? C3 : C3 | C2;
  } else if (!integer_bit) {
    kind = 0;
  } else if (exponent == 0x7fff) {
    kind = (r.mantissa << 1) == 0 ? C2 | C0 : C0;
  } else {
    kind = C2;
  }
  const u16 sign = (r.sign_exponent & 0x8000) != 0 ? C1 : 0;
  signal(s, static_cast<u16>(kind | sign), conditions);
}

bool compare_to_flags(X87State& s, bool quiet, unsigned i, bool then_pop, u64& flags) {
  if (is_empty(s, 0) || is_empty(s, i)) {
    flags = rflags::ZF | rflags::PF | rflags::CF;
    if (!stack_underflow(s)) return false;
    if (then_pop) pop(s);
    return true;
  }
  const u16 status = host::compare(control_of(s), quiet, st(s, 0), st(s, i));
  signal(s, static_cast<u16>(status & ~C1));
  if (!happened(s, status)) return false;
  flags = ((status & C3) != 0 ? rflags::ZF : 0) | ((status & C2) != 0 ? rflags::PF : 0) |
          ((status & C0) != 0 ? rflags::CF : 0);
  if (then_pop) pop(s);
  return true;
}

void change_sign(X87State& s) {
  if (is_empty(s, 0)) {
    if (stack_underflow(s)) set_st(s, 0, indefinite);
    return;
  }
  st(s, 0).sign_exponent ^= 0x8000;
  signal(s, 0);
}

void absolute(X87State& s) {
  if (is_empty(s, 0)) {
    if (stack_underflow(s)) set_st(s, 0, indefinite);
    return;
  }
  st(s, 0).sign_exponent &= 0x7fff;
  signal(s, 0);
}

void unary(X87State& s, Function f) {
  const u16 which = f == Function::Sin || f == Function::Cos ? C1 | C2 : C1;
  if (is_empty(s, 0)) {
    if (stack_underflow(s, which)) set_st(s, 0, indefinite);
    return;
  }
  const host::StackResult r = host::apply(control_of(s), f, st(s, 0));
  if (happened(s, r.status)) set_st(s, 0, r.st0);
  signal(s, r.status, which);
}

void binary(X87State& s, Function f) {
  const bool remainder = f != Function::Scale;
  if (is_empty(s, 0) || is_empty(s, 1)) {
    if (stack_underflow(s, remainder ? C1 | C2 : C1)) set_st(s, 0, indefinite);
    return;
  }
  const host::StackResult r = host::apply(control_of(s), f, st(s, 0), st(s, 1));
  const bool done = happened(s, r.status);
  if (done) set_st(s, 0, r.st0);
  if (!remainder) return signal(s, r.status);
  // C0, C3, C1 are the quotient's low bits, C2 tells that the remainder is partial; without a quotient only C1 and C2
  // are cleared.
  const bool number = (r.st0.sign_exponent & 0x7fff) != 0x7fff;
  signal(s, r.status, done && number ? conditions : C1 | C2);
}

void binary_pop(X87State& s, Function f) {
  if (is_empty(s, 0) || is_empty(s, 1)) {
    if (!stack_underflow(s)) return;
    set_st(s, 1, indefinite);
    pop(s);
    return;
  }
  const host::StackResult r = host::apply(control_of(s), f, st(s, 0), st(s, 1));
  if (r.depth == 1) {
    set_st(s, 1, r.st0);
    pop(s);
  }
  signal(s, r.status);
}

void unary_push(X87State& s, Function f) {
  const u16 which = f == Function::Xtract ? C1 : C1 | C2;
  if (is_empty(s, 0) || !is_empty(s, 7)) {
    const bool respond = is_empty(s, 0) ? stack_underflow(s, which) : stack_overflow(s, which);
    if (!respond) return;
    set_st(s, 0, indefinite);
    push_unchecked(s, indefinite);
    return;
  }
  const host::StackResult r = host::apply(control_of(s), f, st(s, 0));
  if (r.depth == 2) {
    set_st(s, 0, r.st1);
    push_unchecked(s, r.st0);
  } else if (happened(s, r.status)) {
    set_st(s, 0, r.st0);
  }
  signal(s, r.status, which);
}

}  // namespace bunshin::x87
