// Registers and addresses as operands.

#include "vmm-model/emulate/arithmetic.h"
#include "vmm-model/emulate/emulator.h"

namespace bunshin::vmm {

namespace {

bool high_byte(unsigned number, unsigned size, bool has_rex) {
  return size == 1 && !has_rex && number >= 4 && number < 8;
}

}  // namespace

u64 read_register(const GeneralRegisters& registers, unsigned number, unsigned size, bool has_rex) {
  if (high_byte(number, size, has_rex)) return registers[number - 4] >> 8 & 0xff;
  return registers[number] & size_mask(size);
}

void write_register(GeneralRegisters& registers, unsigned number, unsigned size, bool has_rex, u64 value) {
  if (high_byte(number, size, has_rex)) {
    registers[number - 4] = (registers[number - 4] & ~u64{0xff00}) | (value & 0xff) << 8;
  } else if (size >= 4) {
    registers[number] = value & size_mask(size);
  } else {
    registers[number] = (registers[number] & ~size_mask(size)) | (value & size_mask(size));
  }
}

u64 operand_offset(const Instruction& insn, const GeneralRegisters& registers, u64 rip) {
  u64 offset = static_cast<u64>(insn.displacement);
  if (insn.base >= 0) offset += registers[static_cast<unsigned>(insn.base)];
  if (insn.index >= 0) offset += registers[static_cast<unsigned>(insn.index)] << insn.scale;
  if (insn.rip_relative) offset += rip + insn.length;
  return offset & size_mask(insn.address_size);
}

u64 operand_address(const Instruction& insn, const EmulatedProcessor& cpu) {
  const u64 offset = operand_offset(insn, cpu.registers, cpu.rip);
  const u64 linear = cpu.segment_base[static_cast<unsigned>(insn.segment)] + offset;
  return cpu.code_bits == 64 ? linear : linear & 0xffff'ffff;
}

}  // namespace bunshin::vmm
