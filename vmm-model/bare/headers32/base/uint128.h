#pragma once

// 128-bit unsigned arithmetic for compilers that have none (32-bit targets): as much of it as conversions of time need.

#include <compare>

#include "base/types.h"

namespace bunshin {

class u128 {
 public:
  constexpr u128() = default;
  constexpr u128(u64 value) : low_(value) {}
  constexpr explicit operator u64() const { return low_; }

  constexpr bool operator==(const u128&) const = default;
  constexpr std::strong_ordering operator<=>(const u128& other) const {
    return high_ != other.high_ ? high_ <=> other.high_ : low_ <=> other.low_;
  }
  constexpr u128 operator+(u128 other) const {
    const u64 low = low_ + other.low_;
    return {high_ + other.high_ + (low < low_ ? 1 : 0), low};
  }
  constexpr u128 operator-(u128 other) const {
    return {high_ - other.high_ - (low_ < other.low_ ? 1 : 0), low_ - other.low_};
  }
  constexpr u128 operator<<(unsigned count) const {
    if (count == 0) return *this;
    return count >= 64 ? u128{low_ << (count - 64), 0} : u128{high_ << count | low_ >> (64 - count), low_ << count};
  }
  constexpr u128 operator*(u64 factor) const {
    u128 product = multiply(low_, factor);
    product.high_ += high_ * factor;
    return product;
  }
  /// Schoolbook division in base 2^32 where the divisor has one digit, bit by bit where it has two.
  constexpr u128 operator/(u64 divisor) const {
    return divisor >> 32 == 0 ? divide_by_digit(divisor) : divide_by_bits(divisor);
  }

 private:
  constexpr u128(u64 high, u64 low) : low_(low), high_(high) {}

  static constexpr u128 multiply(u64 a, u64 b) {
    constexpr u64 digit = 0xffff'ffff;
    const u64 low = (a & digit) * (b & digit), right = (a & digit) * (b >> 32), left = (a >> 32) * (b & digit);
    const u64 middle = (low >> 32) + (right & digit) + (left & digit);
    return {(a >> 32) * (b >> 32) + (right >> 32) + (left >> 32) + (middle >> 32), middle << 32 | (low & digit)};
  }
  constexpr u128 divide_by_digit(u64 divisor) const {
    const u64 high = high_ / divisor;
    u64 rest = (high_ % divisor) << 32 | low_ >> 32;
    const u64 upper = rest / divisor;
    rest = (rest % divisor) << 32 | (low_ & 0xffff'ffff);
    return {high, upper << 32 | rest / divisor};
  }
  constexpr u128 divide_by_bits(u64 divisor) const {
    u128 quotient{high_ / divisor, 0};
    u64 rest = high_ % divisor;
    for (unsigned bit = 64; bit-- > 0;) {
      const bool carry = rest >> 63 != 0;
      rest = rest << 1 | (low_ >> bit & 1);
      if (!carry && rest < divisor) continue;
      rest -= divisor;
      quotient.low_ |= u64{1} << bit;
    }
    return quotient;
  }

  u64 low_ = 0, high_ = 0;
};

}  // namespace bunshin
