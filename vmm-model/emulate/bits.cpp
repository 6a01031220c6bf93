// Shifts, rotates, and instructions on single bits.

#include <algorithm>

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

namespace {

struct Shifted {
  u64 value;
  bool carry;
};

/// By one bit.
Shifted shift_once(Operation operation, Shifted from, unsigned bits) {
  const u64 top = from.value >> (bits - 1) & 1, low = from.value & 1, carry = from.carry ? 1 : 0;
  switch (operation) {
    case Operation::RotateLeft: return {from.value << 1 | top, top != 0};
    case Operation::RotateRight: return {from.value >> 1 | low << (bits - 1), low != 0};
    case Operation::RotateCarryLeft: return {from.value << 1 | carry, top != 0};
    case Operation::RotateCarryRight: return {from.value >> 1 | carry << (bits - 1), low != 0};
    case Operation::ShiftRight: return {from.value >> 1, low != 0};
    case Operation::ShiftArithmetic: return {from.value >> 1 | top << (bits - 1), low != 0};
    default: return {from.value << 1, top != 0};
  }
}

/// OF of a shift by one bit; of others it is undefined, and this too (SDM vol. 2, RCL and SAL).
bool overflow(Operation operation, u64 before, const Shifted& after, unsigned bits) {
  const auto bit = [bits](u64 value, unsigned from_top) { return (value >> (bits - from_top) & 1) != 0; };
  switch (operation) {
    case Operation::RotateRight:
    case Operation::RotateCarryRight: return bit(after.value, 1) != bit(after.value, 2);
    case Operation::ShiftRight: return bit(before, 1);
    case Operation::ShiftArithmetic: return false;
    default: return bit(after.value, 1) != after.carry;
  }
}

}  // namespace

bool Emulation::shift() {
  const unsigned size = insn_.operand_size, bits = 8 * size;
  const unsigned count =
      static_cast<unsigned>((insn_.has_immediate ? insn_.immediate : cpu_.registers[rcx]) & (size == 8 ? 63 : 31));
  u64 before = 0;
  if (!read_rm(before, size, Intent::Modify)) return false;
  Shifted now{before, (cpu_.flags & rflags::CF) != 0};
  for (unsigned i = 0; i < count; ++i) {
    now = shift_once(insn_.operation, now, bits);
    now.value &= size_mask(size);
  }
  if (!write_rm(now.value)) return false;
  if (count == 0) return true;
  set_flag(rflags::CF, now.carry);
  set_flag(rflags::OF, overflow(insn_.operation, before, now, bits));
  if (insn_.operation < Operation::ShiftLeft) return true;
  set_result_flags(now.value, size);
  set_flag(rflags::AF, false);
  return true;
}

bool Emulation::shift_double() {
  const unsigned size = insn_.operand_size, bits = 8 * size;
  const unsigned count =
      static_cast<unsigned>((insn_.has_immediate ? insn_.immediate : cpu_.registers[rcx]) & (size == 8 ? 63 : 31));
  const bool left = insn_.operation == Operation::ShiftDoubleLeft;
  u64 value = 0, from = get(insn_.reg, size);
  if (!read_rm(value, size, Intent::Modify)) return false;
  const u64 before = value;
  bool carry = false;
  for (unsigned i = 0; i < count; ++i) {
    const u64 in = left ? from >> (bits - 1) & 1 : from & 1;
    carry = (left ? value >> (bits - 1) & 1 : value & 1) != 0;
    value = (left ? value << 1 | in : value >> 1 | in << (bits - 1)) & size_mask(size);
    from = left ? from << 1 | in : from >> 1 | in << (bits - 1);
  }
  if (!write_rm(value)) return false;
  if (count == 0) return true;
  set_flag(rflags::CF, carry);
  set_flag(rflags::OF, ((value ^ before) >> (bits - 1) & 1) != 0);
  set_result_flags(value, size);
  set_flag(rflags::AF, false);
  return true;
}

bool Emulation::shift_plain() {
  constexpr u8 rorx = 0xf0;
  const unsigned size = insn_.operand_size, bits = 8 * size;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  const u64 by = insn_.opcode == rorx ? insn_.immediate : get(insn_.second, size);
  const unsigned count = static_cast<unsigned>(by & (bits - 1));
  // SARX has F3H, SHRX F2H, SHLX 66H.
  const Operation operation = insn_.opcode == rorx     ? Operation::RotateRight
                              : insn_.repeat_different ? Operation::ShiftRight
                              : insn_.repeat           ? Operation::ShiftArithmetic
                                                       : Operation::ShiftLeft;
  Shifted now{value, false};
  for (unsigned i = 0; i < count; ++i) {
    now = shift_once(operation, now, bits);
    now.value &= size_mask(size);
  }
  set_reg(now.value);
  return true;
}

bool Emulation::bit_test() {
  const unsigned bits = insn_.operand_size * 8;
  const Intent intent = insn_.operation == Operation::BitTest ? Intent::Read : Intent::Modify;
  u64 offset = source();
  u64 address = 0, value = 0;
  if (insn_.memory) {
    // A register's bit offset reaches beyond the operand (SDM vol. 2, BT).
    i64 distance = 0;
    if (!insn_.has_immediate) {
      distance = static_cast<i64>(sign_extended(offset, insn_.operand_size)) >> std::countr_zero(bits);
      distance *= insn_.operand_size;
    }
    address = cpu_.segment_base[static_cast<unsigned>(insn_.segment)] +
              masked(operand_offset(insn_, cpu_.registers, cpu_.rip) + static_cast<u64>(distance));
    if (cpu_.code_bits != 64) address &= 0xffff'ffff;
    if (!access_.read(address, insn_.operand_size, value, intent)) return false;
  } else {
    value = get(insn_.rm, insn_.operand_size);
  }
  offset &= bits - 1;
  const u64 bit = u64{1} << offset;
  u64 result = value;
  if (insn_.operation == Operation::BitSet) result |= bit;
  if (insn_.operation == Operation::BitReset) result &= ~bit;
  if (insn_.operation == Operation::BitComplement) result ^= bit;
  if (intent == Intent::Modify) {
    if (!insn_.memory) {
      set(insn_.rm, insn_.operand_size, result);
    } else if (!access_.write(address, insn_.operand_size, result)) {
      return false;
    }
  }
  set_flag(rflags::CF, (value & bit) != 0);
  return true;
}

// Of zero the destination stays as it is (APM vol. 3, BSF).
bool Emulation::scan() {
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size)) return false;
  set_flag(rflags::ZF, value == 0);
  if (value == 0) return true;
  const int place = insn_.operation == Operation::ScanForward ? std::countr_zero(value) : 63 - std::countl_zero(value);
  set_reg(static_cast<u64>(place));
  return true;
}

bool Emulation::count() {
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size)) return false;
  const int bits = 8 * insn_.operand_size;
  const int zeros = insn_.operation == Operation::CountTrailing ? std::min(std::countr_zero(value), bits)
                                                                : std::countl_zero(value) - (64 - bits);
  set_reg(static_cast<u64>(zeros));
  set_flag(rflags::CF, zeros == bits);
  set_flag(rflags::ZF, zeros == 0);
  return true;
}

bool Emulation::count_ones() {
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size)) return false;
  cpu_.flags &= ~rflags::arithmetic;
  set_flag(rflags::ZF, value == 0);
  set_reg(static_cast<u64>(std::popcount(value)));
  return true;
}

/// BLSR, BLSMSK, BLSI.
bool Emulation::lowest_bit() {
  const unsigned size = insn_.operand_size;
  u64 value = 0, result = 0;
  if (!read_rm(value, size)) return false;
  bool carry = value == 0;
  switch (insn_.operation) {
    case Operation::ResetLowest: result = value & (value - 1); break;
    case Operation::MaskLowest: result = value ^ (value - 1); break;
    default:
      result = value & (u64{0} - value);
      carry = !carry;
      break;
  }
  result &= size_mask(size);
  set(insn_.second, size, result);
  set_result_flags(result, size);
  set_flag(rflags::CF, carry);
  set_flag(rflags::OF, false);
  return true;
}

/// BZHI and BEXTR: a field by its length, and by its place as well.
bool Emulation::field() {
  const unsigned size = insn_.operand_size, bits = 8 * size;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  const u64 control = get(insn_.second, size);
  const bool places = insn_.operation == Operation::ExtractField;
  const unsigned start = places ? control & 0xff : 0, length = (places ? control >> 8 : control) & 0xff;
  u64 result = start < 64 ? value >> start : 0;
  if (length < 64) result &= (u64{1} << length) - 1;
  set_reg(result & size_mask(size));
  set_result_flags(result, size);
  set_flag(rflags::CF, !places && length >= bits);
  set_flag(rflags::OF, false);
  return true;
}

/// PEXT and PDEP.
bool Emulation::pick_bits() {
  u64 mask = 0, result = 0;
  if (!read_rm(mask, insn_.operand_size)) return false;
  const u64 from = get(insn_.second, insn_.operand_size);
  const bool deposits = insn_.operation == Operation::DepositBits;
  unsigned dense = 0;
  for (unsigned i = 0; i < 64; ++i) {
    if ((mask >> i & 1) == 0) continue;
    result |= deposits ? (from >> dense & 1) << i : (from >> i & 1) << dense;
    ++dense;
  }
  set_reg(result);
  return true;
}

}  // namespace bunshin::vmm
