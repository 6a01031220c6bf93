#pragma once

// Results and flags of the two-operand instructions (SDM vol. 1, 3.4.3.1).

#include <bit>

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

/// Bits of an operand of `size` bytes, 1 to 8.
constexpr u64 size_mask(unsigned size) { return size >= 8 ? ~u64{0} : (u64{1} << (8 * size)) - 1; }

constexpr u64 sign_extended(u64 value, unsigned size) {
  if (size >= 8) return value;
  const u64 sign = u64{1} << (8 * size - 1);
  return ((value & size_mask(size)) ^ sign) - sign;
}

/// `operation` is Add … Cmp or Test; operands are masked to `size`. `flags` is RFLAGS, whose carry Adc and Sbb use.
constexpr u64 arithmetic(Operation operation, u64 left, u64 right, unsigned size, u64& flags) {
  const u64 mask = size_mask(size), sign = (mask >> 1) + 1;
  const u64 carry_in =
      (operation == Operation::Adc || operation == Operation::Sbb) && (flags & rflags::CF) != 0 ? 1 : 0;
  u64 result = 0, carry = 0, overflow = 0, auxiliary = 0;
  switch (operation) {
    case Operation::Add:
    case Operation::Adc:
      result = (left + right + carry_in) & mask;
      carry = ((left & right) | ((left | right) & ~result)) & sign;
      overflow = (left ^ result) & (right ^ result) & sign;
      auxiliary = (left ^ right ^ result) & 0x10;
      break;
    case Operation::Sub:
    case Operation::Sbb:
    case Operation::Cmp:
      result = (left - right - carry_in) & mask;
      carry = ((~left & right) | (~(left ^ right) & result)) & sign;
      overflow = (left ^ right) & (left ^ result) & sign;
      auxiliary = (left ^ right ^ result) & 0x10;
      break;
    case Operation::Or: result = left | right; break;
    case Operation::Xor: result = left ^ right; break;
    default: result = left & right; break;  // And, Test
  }
  flags &= ~rflags::arithmetic;
  if (carry != 0) flags |= rflags::CF;
  if (overflow != 0) flags |= rflags::OF;
  if (auxiliary != 0) flags |= rflags::AF;
  if (result == 0) flags |= rflags::ZF;
  if ((result & sign) != 0) flags |= rflags::SF;
  if (std::popcount(static_cast<u8>(result)) % 2 == 0) flags |= rflags::PF;
  return result;
}

}  // namespace bunshin::vmm
