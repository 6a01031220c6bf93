// From opcodes to operands, by the tables of opcode_map.cpp and prefixed_opcodes.cpp.

#include "vmm-model/emulate/decoder.h"

namespace bunshin::vmm {

u8 Decoder::width_of(const OpcodeRow& row) const {
  switch (row.width) {
    case OperandWidth::Byte: return 1;
    case OperandWidth::Word: return 2;
    case OperandWidth::Low: return low_size();
    default: break;
  }
  if ((row.form & form::wide) == 0 || bits_ != 64 || rex_w_) return full_size();
  return size_prefix_ ? 2 : 8;
}

void Decoder::immediates(u16 form) {
  if ((form & form::any_immediate) == 0) return;
  const u8 full = insn_.operand_size;
  if ((form & form::address) != 0) insn_.displacement = static_cast<i64>(take(insn_.address_size));
  if ((form & form::immediate_full) != 0) immediate(full);
  if ((form & form::immediate) != 0) immediate(full < 4 ? full : 4);
  if ((form & form::immediate_16) != 0) {
    immediate(2);
    insn_.immediate &= 0xffff;
    // ENTER's second.
    if ((form & form::immediate_8) != 0) insn_.immediate |= take(1) << 16;
  } else if ((form & form::immediate_8) != 0) {
    immediate(1);
  }
  if ((form & form::one) != 0) {
    insn_.has_immediate = true;
    insn_.immediate = 1;
  }
}

void Decoder::apply(const OpcodeRow& given) {
  OpcodeRow row = given;
  if ((row.form & form::modrm) != 0) modrm();
  if (row.group != OpcodeGroup::None) {
    const OpcodeRow member = group_opcode(row.group, insn_.opcode, insn_.reg & 7, insn_.memory);
    row.operation = member.operation;
    row.form |= member.form;
    if (member.width != OperandWidth::Full) row.width = member.width;
  }
  const u16 form = row.form;
  if ((form & (bits_ == 64 ? form::not_64 : form::only_64)) != 0) return;
  if ((form & form::memory_only) != 0 && !insn_.memory) return;
  // What 66H does to a near branch of 64-bit code, vendors do not agree on.
  const bool branch = row.operation >= Operation::Call && row.operation <= Operation::Loop;
  if (branch && bits_ == 64 && size_prefix_) return;
  insn_.operation = row.operation;
  insn_.operand_size = width_of(row);
  insn_.to_register = (form & form::to_register) != 0;
  insn_.stack = (form & form::stack) != 0;
  if ((form & form::implicit_memory) != 0) insn_.memory = true;
  if ((form & form::in_opcode) != 0) insn_.rm = static_cast<u8>((insn_.opcode & 7) | (rex_b_ ? 8 : 0));
  immediates(form);
}

// CALL and JMP ptr16:16, ptr16:32: not in 64-bit mode.
void Decoder::far_pointer() {
  if (bits_ == 64) return;
  take(full_size() + 2u);
  plain();
}

void Decoder::one_byte(u8 opcode) {
  insn_.opcode = opcode;
  switch (opcode) {
    case 0x63: {
      // ARPL outside of 64-bit mode.
      if (bits_ != 64) return;
      constexpr OpcodeRow movsxd{Operation::MovSign, form::modrm | form::to_register};
      apply(movsxd);
      insn_.source_size = 4;
      return;
    }
    case 0x9a:
    case 0xea: return far_pointer();
    case 0xd7:  // XLAT
      insn_.base = rbx;
      break;
    case 0x8c:
      apply(one_byte_opcode(opcode));
      if (insn_.memory) insn_.operand_size = 2;
      // There are six of them.
      if ((insn_.reg & 7) > static_cast<u8>(SegmentName::gs)) insn_.operation = Operation::Unknown;
      return;
    default: break;
  }
  apply(one_byte_opcode(opcode));
}

void Decoder::group_7() {
  const u8 byte = peek();
  if (byte >= 0xc0) {
    const u8 reg = byte >> 3 & 7;
    // VMCALL … XGETBV, XSETBV, MONITOR, MWAIT, the SVM instructions, SWAPGS, RDTSCP: all of them register forms.
    if (reg != 4 && reg != 6) {
      next();
      return plain();
    }
  }
  constexpr OpcodeRow any{Operation::Unknown, form::modrm};
  apply(any);
  switch (insn_.reg & 7) {
    case 4:
      insn_.operation = Operation::StoreMachineStatus;
      if (insn_.memory) insn_.operand_size = 2;
      break;
    case 6: insn_.operation = Operation::LoadMachineStatus; break;
    case 7: insn_.operation = Operation::InvalidatePage; break;
    default: break;
  }
}

// ModRM.mod is ignored (SDM vol. 2, MOV to and from control registers); LOCK is AMD's way to CR8 from outside of 64-bit mode.
void Decoder::control_register(Operation operation) {
  const u8 byte = next();
  insn_.operation = operation;
  insn_.operand_size = bits_ == 64 ? 8 : 4;
  insn_.reg = static_cast<u8>((byte >> 3 & 7) | (rex_r_ || insn_.locked ? 8 : 0));
  insn_.rm = static_cast<u8>((byte & 7) | (rex_b_ ? 8 : 0));
}

void Decoder::two_bytes(u8 opcode) {
  insn_.opcode = opcode;
  switch (opcode) {
    case 0x01: return group_7();
    case 0x20:
    case 0x22: return control_register(opcode == 0x20 ? Operation::MovFromControl : Operation::MovToControl);
    case 0x38:
    case 0x3a: return prefixed(opcode == 0x38 ? 2 : 3);
    default: break;
  }
  const OpcodeRow& row = two_byte_opcode(opcode);
  const unsigned reg = peek() >> 3 & 7;
  const bool by_prefix = insn_.repeat || (row.operation == Operation::Unknown && row.group == OpcodeGroup::None);
  if (by_prefix && prefixed_opcode(1, opcode, prefix(), false, reg) != nullptr) return prefixed(1);
  apply(row);
  if (insn_.operation == Operation::MovZero || insn_.operation == Operation::MovSign) {
    insn_.source_size = (opcode & 1) != 0 ? 2 : 1;
  }
  if (insn_.operation == Operation::CompareExchangePair) insn_.operand_size = rex_w_ ? 16 : 8;
}

void Decoder::integer_operands(const PrefixedRow& row) {
  const bool carries = row.operation == Operation::AddCarry || row.operation == Operation::AddOverflow;
  insn_.operand_size = carries || insn_.vex ? low_size() : full_size();
  if (row.operation != Operation::Checksum) return;
  insn_.source_size = insn_.opcode == 0xf0 ? 1 : insn_.operand_size;
  insn_.operand_size = low_size();
}

/// Opcodes of map 1 have been read; those of the others have not, nor has any behind a VEX prefix.
void Decoder::prefixed(u8 map) {
  if (map != 1 || insn_.vex) insn_.opcode = next();
  const PrefixedRow* const row = prefixed_opcode(map, insn_.opcode, prefix(), insn_.vex, peek() >> 3 & 7);
  if (row == nullptr) return;
  modrm();
  if (!insn_.vex) insn_.vector_size = row->encoding == PrefixedRow::Mmx ? 8 : 16;
  insn_.operand_size = vex_w_ ? 8 : 4;
  const u8 all = insn_.vector_size;
  switch (row->bytes) {
    case 0: insn_.source_size = all; break;
    case PrefixedRow::half: insn_.source_size = all / 2; break;
    case PrefixedRow::quarter: insn_.source_size = all / 4; break;
    case PrefixedRow::eighth: insn_.source_size = all / 8; break;
    case PrefixedRow::low: insn_.source_size = low_size(); break;
    case PrefixedRow::operand: integer_operands(*row); break;
    default: insn_.source_size = row->bytes; break;
  }
  // Between registers only they are of no interest.
  const bool masked = row->operation == Operation::VectorMaskedBytes;
  if (row->bytes != PrefixedRow::operand && insn_.memory == masked) return;
  insn_.operation = row->operation;
  insn_.to_register = true;
  if (row->has_immediate) immediate(1);
}

}  // namespace bunshin::vmm
