// Moves, exchanges and arithmetic between registers and memory.

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

bool Emulation::read_rm(u64& value, unsigned size, Intent intent) {
  if (insn_.memory) return access_.read(operand_address(insn_, cpu_), size, value, intent);
  value = get(insn_.rm, size);
  return true;
}

bool Emulation::write_rm(u64 value, unsigned size) {
  if (insn_.memory) return access_.write(operand_address(insn_, cpu_), size, value);
  set(insn_.rm, size, value);
  return true;
}

void Emulation::set_result_flags(u64 result, unsigned size) {
  set_flag(rflags::ZF, (result & size_mask(size)) == 0);
  set_flag(rflags::SF, (result >> (8 * size - 1) & 1) != 0);
  set_flag(rflags::PF, std::popcount(static_cast<u8>(result)) % 2 == 0);
}

// SDM vol. 1, appendix B.
bool Emulation::condition() const {
  const auto on = [this](u64 flag) { return (cpu_.flags & flag) != 0; };
  const bool less = on(rflags::SF) != on(rflags::OF);
  bool met = false;
  switch (insn_.opcode >> 1 & 7) {
    case 0: met = on(rflags::OF); break;
    case 1: met = on(rflags::CF); break;
    case 2: met = on(rflags::ZF); break;
    case 3: met = on(rflags::CF | rflags::ZF); break;
    case 4: met = on(rflags::SF); break;
    case 5: met = on(rflags::PF); break;
    case 6: met = less; break;
    default: met = less || on(rflags::ZF); break;
  }
  return met != ((insn_.opcode & 1) != 0);
}

bool Emulation::move() {
  if (!insn_.to_register) return write_rm(source());
  const unsigned size = insn_.operation == Operation::Mov ? insn_.operand_size : insn_.source_size;
  u64 value = 0;
  if (!read_rm(value, size)) return false;
  if (insn_.operation == Operation::MovSign) value = sign_extended(value, size);
  set_reg(value);
  return true;
}

// The operand is read, and half a register cleared, whatever the condition.
bool Emulation::move_if() {
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size)) return false;
  set_reg(condition() ? value : get(insn_.reg, insn_.operand_size));
  return true;
}

bool Emulation::set_if() { return write_rm(condition() ? 1 : 0); }

bool Emulation::move_swapped() {
  const auto swapped = [size = insn_.operand_size](u64 value) { return __builtin_bswap64(value) >> (64 - 8 * size); };
  if (insn_.opcode == 0xf1) return write_rm(swapped(get(insn_.reg, insn_.operand_size)));
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size)) return false;
  set_reg(swapped(value));
  return true;
}

bool Emulation::store_segment() { return write_rm(access_.selector(static_cast<SegmentName>(insn_.reg & 7))); }

bool Emulation::load_address() {
  set_reg(operand_offset(insn_, cpu_.registers, cpu_.rip));
  return true;
}

bool Emulation::alu() {
  const bool discards = insn_.operation == Operation::Cmp || insn_.operation == Operation::Test;
  const bool modifies = !discards && !insn_.to_register;
  u64 memory = 0;
  if (!read_rm(memory, insn_.operand_size, modifies ? Intent::Modify : Intent::Read)) return false;
  const u64 left = insn_.to_register ? source() : memory;
  const u64 right = insn_.to_register ? memory : source();
  u64 flags = cpu_.flags;
  const u64 result = arithmetic(insn_.operation, left, right, insn_.operand_size, flags);
  if (modifies && !write_rm(result)) return false;
  if (!discards && insn_.to_register) set_reg(result);
  cpu_.flags = flags;
  return true;
}

bool Emulation::unary() {
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size, Intent::Modify)) return false;
  u64 flags = cpu_.flags;
  const unsigned size = insn_.operand_size;
  const u64 carry = flags & rflags::CF;
  switch (insn_.operation) {
    case Operation::Increment:
      value = arithmetic(Operation::Add, value, 1, size, flags);
      flags = (flags & ~rflags::CF) | carry;
      break;
    case Operation::Decrement:
      value = arithmetic(Operation::Sub, value, 1, size, flags);
      flags = (flags & ~rflags::CF) | carry;
      break;
    case Operation::Negate: value = arithmetic(Operation::Sub, 0, value, size, flags); break;
    default: value = ~value & size_mask(size); break;
  }
  if (!write_rm(value)) return false;
  cpu_.flags = flags;
  return true;
}

bool Emulation::exchange() {
  constexpr u8 nop = 0x90;
  if (insn_.opcode == nop && insn_.rm == 0 && insn_.operation == Operation::Exchange) return true;
  u64 memory = 0;
  if (!read_rm(memory, insn_.operand_size, Intent::Modify)) return false;
  const u64 operand = source();
  u64 flags = cpu_.flags;
  const u64 stored = insn_.operation == Operation::Exchange
                         ? operand
                         : arithmetic(Operation::Add, memory, operand, insn_.operand_size, flags);
  if (insn_.memory) {
    if (!write_rm(stored)) return false;
    set_reg(memory);
  } else {
    // XADD of a register with itself leaves the sum.
    set_reg(memory);
    write_rm(stored);
  }
  cpu_.flags = flags;
  return true;
}

bool Emulation::compare_exchange() {
  u64 memory = 0;
  if (!read_rm(memory, insn_.operand_size, Intent::Modify)) return false;
  const u64 expected = accumulator(rax, insn_.operand_size);
  u64 flags = cpu_.flags;
  arithmetic(Operation::Cmp, expected, memory, insn_.operand_size, flags);
  // Memory is written either way (SDM vol. 2, CMPXCHG).
  const bool equal = expected == memory;
  if ((equal || insn_.memory) && !write_rm(equal ? source() : memory)) return false;
  if (!equal) set_accumulator(rax, insn_.operand_size, memory);
  cpu_.flags = flags;
  return true;
}

bool Emulation::compare_exchange_pair() {
  const unsigned half = insn_.operand_size / 2;
  const u64 address = operand_address(insn_, cpu_);
  if (half == 8 && address % 16 != 0) return raise(vector::GP);
  u64 low = 0, high = 0;
  if (!access_.permits(address, insn_.operand_size, Intent::Modify)) return false;
  if (!access_.read(address, half, low, Intent::Modify)) return false;
  if (!access_.read(address + half, half, high, Intent::Modify)) return false;
  GeneralRegisters& r = cpu_.registers;
  const u64 mask = size_mask(half);
  const bool equal = low == (r[rax] & mask) && high == (r[rdx] & mask);
  const u64 new_low = equal ? r[rbx] & mask : low, new_high = equal ? r[rcx] & mask : high;
  // One write where the size allows it: a page-table entry must not be seen half changed.
  const bool written = half == 4 ? access_.write(address, 8, new_low | new_high << 32)
                                 : access_.write(address, 8, new_low) && access_.write(address + 8, 8, new_high);
  if (!written) return false;
  set_flag(rflags::ZF, equal);
  if (equal) return true;
  set_accumulator(rax, half, low);
  set_accumulator(rdx, half, high);
  return true;
}

bool Emulation::translate() {
  const u64 offset = masked(cpu_.registers[rbx] + (cpu_.registers[rax] & 0xff));
  u64 address = cpu_.segment_base[static_cast<unsigned>(insn_.segment)] + offset, value = 0;
  if (cpu_.code_bits != 64) address &= 0xffff'ffff;
  if (!access_.read(address, 1, value, Intent::Read)) return false;
  set_accumulator(rax, 1, value);
  return true;
}

// CLFLUSH and its like may fault, and have nothing to do.
bool Emulation::flush_line() { return access_.permits(operand_address(insn_, cpu_), 1, Intent::Read); }

}  // namespace bunshin::vmm
