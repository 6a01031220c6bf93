#pragma once

// A guest-visible exception as a value. Semantics return it; nothing in the processor throws (docs/decisions/0002).

#include "base/types.h"

namespace bunshin {

/// SDM vol. 3, table 6-1.
enum class Vector : u8 {
  DE = 0,
  DB = 1,
  NMI = 2,
  BP = 3,
  OF = 4,
  BR = 5,
  UD = 6,
  NM = 7,
  DF = 8,
  TS = 10,
  NP = 11,
  SS = 12,
  GP = 13,
  PF = 14,
  MF = 16,
  AC = 17,
  MC = 18,
  XM = 19,
  VE = 20,
  SX = 30,  ///< AMD: a security-sensitive event, such as a redirected INIT (APM vol. 2, 8.2.23)
};

/// What leaves a guest in place of an exception: its hypervisor wanted to know of something, or the second stage of
/// translation refused (core/virt).
enum class GuestExit : u8 { None, Intercepted, SecondStage };

struct Fault {
  Vector vector = Vector::UD;
  bool has_error_code = false;
  u32 error_code = 0;
  /// The faulting linear address; loaded into CR2 when a #PF is delivered, unused otherwise.
  u64 linear = 0;
  GuestExit exit = GuestExit::None;  ///< not an exception at all

  static constexpr Fault plain(Vector v) { return {v, false, 0, 0, GuestExit::None}; }
  static constexpr Fault with_code(Vector v, u32 code) { return {v, true, code, 0, GuestExit::None}; }
  static constexpr Fault page(u64 linear_address, u32 code) {
    return {Vector::PF, true, code, linear_address, GuestExit::None};
  }
  static constexpr Fault intercepted() { return {Vector::UD, false, 0, 0, GuestExit::Intercepted}; }
  static constexpr Fault second_stage(u64 linear_address) {
    return {Vector::PF, false, 0, linear_address, GuestExit::SecondStage};
  }
};

}  // namespace bunshin
