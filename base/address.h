#pragma once

// The three address spaces a translation passes through. They are distinct types so that a linear address cannot be
// handed to something that wants a physical one. Natively (no second stage) a guest-physical address and the
// host-physical address it maps to are numerically equal, but they are still converted explicitly, by mmu/walker.

#include <compare>

#include "base/types.h"

namespace bunshin {

template <class Space>
struct Address {
  u64 value = 0;

  constexpr Address() = default;
  constexpr explicit Address(u64 v) : value(v) {}

  constexpr auto operator<=>(const Address&) const = default;
  constexpr Address operator+(u64 bytes) const { return Address(value + bytes); }
  constexpr u64 operator-(Address other) const { return value - other.value; }
  /// Byte offset within the 4 KiB page.
  constexpr u64 page_offset() const { return value & 0xfff; }
  /// Address of the first byte of the 4 KiB page.
  constexpr Address page() const { return Address(value & ~u64{0xfff}); }
  /// 4 KiB page (frame) number.
  constexpr u64 page_number() const { return value >> 12; }
};

using Linear = Address<struct LinearSpace>;
using GuestPhysical = Address<struct GuestPhysicalSpace>;
using HostPhysical = Address<struct HostPhysicalSpace>;

inline constexpr unsigned page_shift = 12;
inline constexpr u64 page_size = u64{1} << page_shift;

/// True if bits 63..(width-1) are all equal (SDM vol. 1, 3.3.7.1); width is 48 or 57.
constexpr bool is_canonical(u64 linear, unsigned width) {
  const unsigned shift = 64 - width;
  return static_cast<u64>(static_cast<i64>(linear << shift) >> shift) == linear;
}

}  // namespace bunshin
