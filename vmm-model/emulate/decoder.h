#pragma once

// The decoder: prefixes and operands (instruction.cpp), opcodes (opcodes.cpp).

#include "vmm-model/emulate/code_bytes.h"

namespace bunshin::vmm {

class Decoder final : private CodeBytes {
 public:
  Decoder(std::span<const u8> bytes, unsigned code_bits) : CodeBytes(bytes), bits_(code_bits) {}

  Instruction run() {
    prefixes();
    const u8 opcode = next();
    if (opcode == 0x0f) {
      two_bytes(next());
    } else {
      one_byte(opcode);
    }
    if (ran_out() || insn_.operation == Operation::Unknown) return {};
    insn_.length = static_cast<u8>(length());
    return insn_;
  }

 private:
  void prefixes();
  void one_byte(u8 opcode);
  void two_bytes(u8 opcode);
  void far_pointer();
  void group_1(u8 opcode);
  void group_3(u8 opcode);
  void group_7();
  void group_8();
  void control_register(Operation operation);
  void string(u8 opcode);
  void modrm();
  /// A ModRM instruction; `wide`: bit 0 of the opcode, 0 for bytes.
  void binary(Operation operation, bool wide, bool to_register);
  void immediate(unsigned size) {
    insn_.has_immediate = true;
    insn_.immediate = static_cast<u64>(take_signed(size));
  }
  void plain() { insn_.operation = Operation::Plain; }
  unsigned full_size() const { return rex_w_ ? 8 : (bits_ == 16) != size_prefix_ ? 2 : 4; }
  unsigned immediate_size(bool wide) const { return !wide ? 1 : full_size() == 2 ? 2 : 4; }

  unsigned bits_;
  Instruction insn_;
  bool rex_w_ = false, rex_r_ = false, rex_x_ = false, rex_b_ = false;
  bool size_prefix_ = false, address_prefix_ = false, segment_prefix_ = false;
};

}  // namespace bunshin::vmm
