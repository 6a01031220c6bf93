#pragma once

// The binary operations of the arithmetic and logic unit: result and flags, whatever the operands are.

#include <bit>
#include <functional>

#include "core/state.h"

namespace bunshin {

struct Add {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(a + b);
    flags.set_add<T>(r, b);
    return r;
  }
};

struct Sub {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(a - b);
    flags.set_sub<T>(r, b);
    return r;
  }
};

template <class T>
constexpr u64 sign_bit = u64{1} << (sizeof(T) * 8 - 1);

template <class T>
u64 result_flags(T r) {
  return (r == 0 ? rflags::ZF : 0) | ((r & sign_bit<T>) != 0 ? rflags::SF : 0) |
         ((std::popcount(static_cast<u8>(r)) & 1) == 0 ? rflags::PF : 0);
}

/// ADC and SBB with a carry in do not fit the lazy form: two values carry out at once.
struct Adc {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b) {
    if (!flags.cf()) return Add::apply<T>(flags, a, b);
    const T r = static_cast<T>(a + b + 1);
    flags.set_status(result_flags(r) | (r <= a ? rflags::CF : 0) | ((a ^ b ^ r) & rflags::AF) |
                     (((a ^ r) & (b ^ r) & sign_bit<T>) != 0 ? rflags::OF : 0));
    return r;
  }
};

struct Sbb {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b) {
    if (!flags.cf()) return Sub::apply<T>(flags, a, b);
    const T r = static_cast<T>(a - b - 1);
    flags.set_status(result_flags(r) | (a <= b ? rflags::CF : 0) | ((a ^ b ^ r) & rflags::AF) |
                     (((a ^ b) & (a ^ r) & sign_bit<T>) != 0 ? rflags::OF : 0));
    return r;
  }
};

template <class Combine>
struct Logic {
  template <class T>
  static T apply(LazyFlags& flags, T a, T b) {
    const T r = static_cast<T>(Combine()(a, b));
    flags.set_logic<T>(r);
    return r;
  }
};
using And = Logic<std::bit_and<>>;
using Or = Logic<std::bit_or<>>;
using Xor = Logic<std::bit_xor<>>;

}  // namespace bunshin
