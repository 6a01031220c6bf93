#include "vmm-model/emulate/emulator.h"

#include <bit>

#include "vmm-model/emulate/arithmetic.h"

namespace bunshin::vmm {

namespace {

class Emulation {
 public:
  Emulation(const Instruction& instruction, EmulatedProcessor& processor, GuestAccess& access)
      : insn_(instruction), cpu_(processor), access_(access) {}

  EmulationResult run();

 private:
  bool read_rm(u64& value, unsigned size);
  bool write_rm(u64 value);
  u64 source() const {
    return insn_.has_immediate ? insn_.immediate & size_mask(insn_.operand_size)
                               : read_register(cpu_.registers, insn_.reg, insn_.operand_size, insn_.has_rex);
  }
  void set_reg(u64 value) { write_register(cpu_.registers, insn_.reg, insn_.operand_size, insn_.has_rex, value); }
  bool move();
  bool alu();
  bool unary();
  bool exchange();
  bool compare_exchange();
  bool compare_exchange_pair();
  bool bit_test();
  EmulationResult string();
  bool string_step();
  void advance(Gpr pointer);
  u64 masked(u64 value) const { return value & size_mask(insn_.address_size); }

  const Instruction& insn_;
  EmulatedProcessor& cpu_;
  GuestAccess& access_;
};

bool Emulation::read_rm(u64& value, unsigned size) {
  if (insn_.memory) return access_.read(operand_address(insn_, cpu_), size, value);
  value = read_register(cpu_.registers, insn_.rm, size, insn_.has_rex);
  return true;
}

bool Emulation::write_rm(u64 value) {
  if (insn_.memory) return access_.write(operand_address(insn_, cpu_), insn_.operand_size, value);
  write_register(cpu_.registers, insn_.rm, insn_.operand_size, insn_.has_rex, value);
  return true;
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

bool Emulation::alu() {
  u64 memory = 0;
  if (!read_rm(memory, insn_.operand_size)) return false;
  const u64 left = insn_.to_register ? source() : memory;
  const u64 right = insn_.to_register ? memory : source();
  u64 flags = cpu_.flags;
  const u64 result = arithmetic(insn_.operation, left, right, insn_.operand_size, flags);
  const bool discards = insn_.operation == Operation::Cmp || insn_.operation == Operation::Test;
  if (!discards) {
    if (insn_.to_register) {
      set_reg(result);
    } else if (!write_rm(result)) {
      return false;
    }
  }
  cpu_.flags = flags;
  return true;
}

bool Emulation::unary() {
  u64 value = 0;
  if (!read_rm(value, insn_.operand_size)) return false;
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
  u64 memory = 0;
  if (!read_rm(memory, insn_.operand_size)) return false;
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
  if (!read_rm(memory, insn_.operand_size)) return false;
  const u64 expected = read_register(cpu_.registers, rax, insn_.operand_size, true);
  u64 flags = cpu_.flags;
  arithmetic(Operation::Cmp, expected, memory, insn_.operand_size, flags);
  // The destination is written either way (SDM vol. 2, CMPXCHG).
  if (!write_rm(expected == memory ? source() : memory)) return false;
  if (expected != memory) write_register(cpu_.registers, rax, insn_.operand_size, true, memory);
  cpu_.flags = flags;
  return true;
}

bool Emulation::compare_exchange_pair() {
  const unsigned half = insn_.operand_size / 2;
  const u64 address = operand_address(insn_, cpu_);
  u64 low = 0, high = 0;
  if (!access_.read(address, half, low) || !access_.read(address + half, half, high)) return false;
  GeneralRegisters& r = cpu_.registers;
  const u64 mask = size_mask(half);
  if (low == (r[rax] & mask) && high == (r[rdx] & mask)) {
    // One write where the size allows it: a page-table entry must not be seen half changed.
    if (half == 4) {
      if (!access_.write(address, 8, (r[rbx] & mask) | r[rcx] << 32)) return false;
    } else if (!access_.write(address, 8, r[rbx]) || !access_.write(address + 8, 8, r[rcx])) {
      return false;
    }
    cpu_.flags |= rflags::ZF;
    return true;
  }
  write_register(r, rax, half, true, low);
  write_register(r, rdx, half, true, high);
  cpu_.flags &= ~rflags::ZF;
  return true;
}

bool Emulation::bit_test() {
  const unsigned bits = insn_.operand_size * 8;
  u64 offset = source();
  u64 address = 0, value = 0;
  if (insn_.memory) {
    address = operand_address(insn_, cpu_);
    // A register's bit offset reaches beyond the operand (SDM vol. 2, BT).
    if (!insn_.has_immediate) {
      const i64 distance = static_cast<i64>(sign_extended(offset, insn_.operand_size)) >> std::countr_zero(bits);
      address += static_cast<u64>(distance) * insn_.operand_size;
    }
    if (!access_.read(address, insn_.operand_size, value)) return false;
  } else {
    value = read_register(cpu_.registers, insn_.rm, insn_.operand_size, insn_.has_rex);
  }
  offset &= bits - 1;
  const u64 bit = u64{1} << offset;
  u64 result = value;
  if (insn_.operation == Operation::BitSet) result |= bit;
  if (insn_.operation == Operation::BitReset) result &= ~bit;
  if (insn_.operation == Operation::BitComplement) result ^= bit;
  if (insn_.operation != Operation::BitTest) {
    if (!insn_.memory) {
      write_rm(result);
    } else if (!access_.write(address, insn_.operand_size, result)) {
      return false;
    }
  }
  cpu_.flags = (cpu_.flags & ~rflags::CF) | ((value & bit) != 0 ? rflags::CF : 0);
  return true;
}

void Emulation::advance(Gpr pointer) {
  const u64 step = (cpu_.flags & rflags::DF) != 0 ? u64{0} - insn_.operand_size : insn_.operand_size;
  write_register(cpu_.registers, pointer, insn_.address_size, true, masked(cpu_.registers[pointer] + step));
}

bool Emulation::string_step() {
  const u64 source_at = cpu_.segment_base[static_cast<unsigned>(insn_.segment)] + masked(cpu_.registers[rsi]);
  const u64 target_at = cpu_.segment_base[static_cast<unsigned>(SegmentName::es)] + masked(cpu_.registers[rdi]);
  u64 value = read_register(cpu_.registers, rax, insn_.operand_size, true);
  if (insn_.operation != Operation::StoreString && !access_.read(source_at, insn_.operand_size, value)) return false;
  if (insn_.operation == Operation::LoadString) {
    write_register(cpu_.registers, rax, insn_.operand_size, true, value);
  } else {
    if (!access_.write(target_at, insn_.operand_size, value)) return false;
    advance(rdi);
  }
  if (insn_.operation != Operation::StoreString) advance(rsi);
  return true;
}

EmulationResult Emulation::string() {
  if (!insn_.repeat) return string_step() ? EmulationResult::Done : EmulationResult::Fault;
  for (unsigned i = 0; i < max_iterations; ++i) {
    const u64 left = masked(cpu_.registers[rcx]);
    if (left == 0) return EmulationResult::Done;
    if (!string_step()) return EmulationResult::Fault;
    write_register(cpu_.registers, rcx, insn_.address_size, true, left - 1);
  }
  return masked(cpu_.registers[rcx]) == 0 ? EmulationResult::Done : EmulationResult::Again;
}

EmulationResult Emulation::run() {
  bool done = false;
  switch (insn_.operation) {
    case Operation::Mov:
    case Operation::MovZero:
    case Operation::MovSign: done = move(); break;
    case Operation::Add:
    case Operation::Or:
    case Operation::Adc:
    case Operation::Sbb:
    case Operation::And:
    case Operation::Sub:
    case Operation::Xor:
    case Operation::Cmp:
    case Operation::Test: done = alu(); break;
    case Operation::Increment:
    case Operation::Decrement:
    case Operation::Not:
    case Operation::Negate: done = unary(); break;
    case Operation::Exchange:
    case Operation::ExchangeAdd: done = exchange(); break;
    case Operation::CompareExchange: done = compare_exchange(); break;
    case Operation::CompareExchangePair: done = compare_exchange_pair(); break;
    case Operation::BitTest:
    case Operation::BitSet:
    case Operation::BitReset:
    case Operation::BitComplement: done = bit_test(); break;
    case Operation::StoreString:
    case Operation::MoveString:
    case Operation::LoadString: {
      const EmulationResult result = string();
      if (result == EmulationResult::Done) cpu_.rip += insn_.length;
      return result;
    }
    default: return EmulationResult::Unknown;
  }
  if (!done) return EmulationResult::Fault;
  cpu_.rip += insn_.length;
  return EmulationResult::Done;
}

}  // namespace

EmulationResult emulate(const Instruction& instruction, EmulatedProcessor& processor, GuestAccess& access) {
  return Emulation(instruction, processor, access).run();
}

}  // namespace bunshin::vmm
