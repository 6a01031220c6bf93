// Products, quotients, and the rest of arithmetic that arithmetic.h has not.

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

namespace {

/// As wide as two operands.
struct Wide {
  u64 low = 0, high = 0;

  bool negative() const { return high >> 63 != 0; }
  Wide negated() const { return {u64{0} - low, ~high + (low == 0 ? 1 : 0)}; }
};

Wide product(u64 a, u64 b) {
  constexpr u64 digit = 0xffff'ffff;
  const u64 low = (a & digit) * (b & digit), right = (a & digit) * (b >> 32), left = (a >> 32) * (b & digit);
  const u64 middle = (low >> 32) + (right & digit) + (left & digit);
  return {middle << 32 | (low & digit), (a >> 32) * (b >> 32) + (right >> 32) + (left >> 32) + (middle >> 32)};
}

/// Both operands sign-extended to 64 bits.
Wide signed_product(u64 a, u64 b) {
  Wide p = product(a, b);
  if (a >> 63 != 0) p.high -= b;
  if (b >> 63 != 0) p.high -= a;
  return p;
}

/// Bit by bit; `by` is above `value.high`.
void divide_by(Wide value, u64 by, u64& quotient, u64& rest) {
  rest = value.high;
  quotient = 0;
  for (unsigned bit = 64; bit-- > 0;) {
    const bool carry = rest >> 63 != 0;
    rest = rest << 1 | (value.low >> bit & 1);
    if (!carry && rest < by) continue;
    rest -= by;
    quotient |= u64{1} << bit;
  }
}

u64 magnitude(u64 value) { return value >> 63 != 0 ? u64{0} - value : value; }

}  // namespace

// One operand: AX, or a pair of registers, gets the product.
bool Emulation::multiply() {
  const unsigned size = insn_.operand_size;
  const bool with_sign = insn_.operation == Operation::MultiplySigned;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  const u64 other = accumulator(rax, size);
  const Wide p =
      with_sign ? signed_product(sign_extended(other, size), sign_extended(value, size)) : product(other, value);
  const u64 low = p.low & size_mask(size);
  const u64 high = size == 8 ? p.high : p.low >> (8 * size) & size_mask(size);
  if (size == 1) {
    set_accumulator(rax, 2, low | high << 8);
  } else {
    set_accumulator(rax, size, low);
    set_accumulator(rdx, size, high);
  }
  const u64 expected = with_sign && (low >> (8 * size - 1) & 1) != 0 ? size_mask(size) : 0;
  set_flag(rflags::CF | rflags::OF, high != expected);
  set_result_flags(low, size);
  return true;
}

bool Emulation::multiply_to() {
  const unsigned size = insn_.operand_size;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  const u64 other = insn_.has_immediate ? insn_.immediate : get(insn_.reg, size);
  const Wide p = signed_product(sign_extended(value, size), sign_extended(other, size));
  const u64 low = p.low & size_mask(size);
  const u64 extended = sign_extended(low, size);
  set_flag(rflags::CF | rflags::OF, p.low != extended || p.high != (extended >> 63 != 0 ? ~u64{0} : 0));
  set_result_flags(low, size);
  set_reg(low);
  return true;
}

// MULX: if both registers are the same one, it has the upper half.
bool Emulation::multiply_plain() {
  const unsigned size = insn_.operand_size;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  const Wide p = product(value, accumulator(rdx, size));
  set(insn_.second, size, p.low);
  set_reg(size == 8 ? p.high : p.low >> 32);
  return true;
}

bool Emulation::divide() {
  const unsigned size = insn_.operand_size, bits = 8 * size;
  const bool with_sign = insn_.operation == Operation::DivideSigned;
  u64 by = 0;
  if (!read_rm(by, size)) return false;
  Wide value{accumulator(rax, size), accumulator(rdx, size)};
  if (size == 1) value = {accumulator(rax, 2), 0};
  if (size == 2 || size == 4) value = {value.low | value.high << bits, 0};
  if (with_sign && size != 8) {
    value.low = sign_extended(value.low, 2 * size);
    value.high = value.low >> 63 != 0 ? ~u64{0} : 0;
  }
  const bool negative = with_sign && value.negative();
  if (with_sign) by = sign_extended(by, size);
  const bool opposite = negative != (with_sign && by >> 63 != 0);
  if (negative) value = value.negated();
  if (with_sign) by = magnitude(by);
  if (by == 0 || value.high >= by) return raise(vector::DE);
  u64 quotient = 0, rest = 0;
  divide_by(value, by, quotient, rest);
  const u64 largest = with_sign ? (size_mask(size) >> 1) + (opposite ? 1 : 0) : size_mask(size);
  if (quotient > largest) return raise(vector::DE);
  if (opposite) quotient = u64{0} - quotient;
  if (negative) rest = u64{0} - rest;
  if (size == 1) {
    set_accumulator(rax, 2, (quotient & 0xff) | (rest & 0xff) << 8);
  } else {
    set_accumulator(rax, size, quotient);
    set_accumulator(rdx, size, rest);
  }
  return true;
}

/// ADCX and ADOX: an addition with a carry of its own, and no other flag.
bool Emulation::add_carry() {
  const unsigned size = insn_.operand_size;
  const u64 flag = insn_.operation == Operation::AddCarry ? rflags::CF : rflags::OF;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  u64 flags = (cpu_.flags & flag) != 0 ? rflags::CF : 0;
  set_reg(arithmetic(Operation::Adc, get(insn_.reg, size), value, size, flags));
  set_flag(flag, (flags & rflags::CF) != 0);
  return true;
}

bool Emulation::and_not() {
  const unsigned size = insn_.operand_size;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  u64 flags = cpu_.flags;
  set_reg(arithmetic(Operation::And, ~get(insn_.second, size), value, size, flags));
  cpu_.flags = flags;
  return true;
}

/// CRC32, whose polynomial is 11EDC6F41H, bits reflected.
bool Emulation::checksum() {
  constexpr u64 polynomial = 0x82f6'3b78;
  u64 value = 0;
  if (!read_rm(value, insn_.source_size)) return false;
  u64 rest = get(insn_.reg, 4);
  for (unsigned i = 0; i < 8u * insn_.source_size; ++i) {
    const bool out = ((rest ^ value >> i) & 1) != 0;
    rest = rest >> 1 ^ (out ? polynomial : 0);
  }
  set_reg(rest);
  return true;
}

bool Emulation::bounds() {
  constexpr u8 range_exceeded = 5;
  const unsigned size = insn_.operand_size;
  const u64 address = operand_address(insn_, cpu_);
  u64 lower = 0, upper = 0;
  if (!access_.read(address, size, lower, Intent::Read)) return false;
  if (!access_.read((address + size) & 0xffff'ffff, size, upper, Intent::Read)) return false;
  const auto number = [size](u64 value) { return static_cast<i64>(sign_extended(value, size)); };
  const i64 index = number(get(insn_.reg, size));
  return (index >= number(lower) && index <= number(upper)) || raise(range_exceeded);
}

}  // namespace bunshin::vmm
