#pragma once

// Simulated time. The platform counts picoseconds (as SystemC's default resolution does); a core counts its own cycles.

#include <compare>

#include "base/types.h"

namespace bunshin {

/// A point in simulated time, or a span of it. 2^64 ps are 213 days.
struct SimTime {
  u64 ps = 0;

  static constexpr SimTime never() { return SimTime{~u64{0}}; }
  static constexpr SimTime from_ns(u64 ns) { return SimTime{ns * 1000}; }
  constexpr auto operator<=>(const SimTime&) const = default;
  constexpr SimTime operator+(SimTime other) const { return SimTime{ps + other.ps}; }
  constexpr SimTime operator-(SimTime other) const { return SimTime{ps - other.ps}; }
};

/// A fixed-frequency clock: converts between ticks and time without drift (128-bit intermediate, rounds down).
struct Clock {
  u64 hertz = 1'000'000'000;

  constexpr u64 ticks(SimTime t) const { return static_cast<u64>(u128{t.ps} * hertz / 1'000'000'000'000ULL); }
  /// The first time at which `ticks` have passed (rounds up, so that ticks(at(n)) == n).
  constexpr SimTime at(u64 n) const {
    return SimTime{static_cast<u64>((u128{n} * 1'000'000'000'000ULL + hertz - 1) / hertz)};
  }
  /// The first tick at or after `t`; all ones for never.
  constexpr u64 tick_from(SimTime t) const {
    if (t == SimTime::never()) return ~u64{0};
    return t.ps == 0 ? 0 : ticks(SimTime{t.ps - 1}) + 1;
  }
};

}  // namespace bunshin
