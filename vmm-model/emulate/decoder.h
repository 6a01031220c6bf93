#pragma once

// The decoder: prefixes and operands (instruction.cpp), opcodes (opcodes.cpp).

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

inline constexpr unsigned max_instruction_length = 15;

class Decoder {
 public:
  Decoder(std::span<const u8> bytes, unsigned code_bits)
      : bytes_(bytes.first(bytes.size() < max_instruction_length ? bytes.size() : max_instruction_length)),
        bits_(code_bits) {}

  Instruction run() {
    prefixes();
    const u8 opcode = next();
    if (opcode == 0x0f) {
      two_bytes(next());
    } else {
      one_byte(opcode);
    }
    if (short_ || insn_.operation == Operation::Unknown) return {};
    insn_.length = static_cast<u8>(at_);
    return insn_;
  }

 private:
  u8 next() {
    if (at_ >= bytes_.size()) {
      short_ = true;
      return 0;
    }
    return bytes_[at_++];
  }
  u64 take(unsigned size) {
    u64 value = 0;
    for (unsigned i = 0; i < size; ++i) value |= u64{next()} << (8 * i);
    return value;
  }
  static i64 extend(u64 value, unsigned size) {
    const unsigned shift = 64 - 8 * size;
    return static_cast<i64>(value << shift) >> shift;
  }
  u8 peek() const { return at_ < bytes_.size() ? bytes_[at_] : 0; }

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
  void memory16(u8 mod, u8 rm);
  void memory32(u8 mod, u8 rm);
  /// A ModRM instruction; `wide`: bit 0 of the opcode, 0 for bytes.
  void binary(Operation operation, bool wide, bool to_register);
  void immediate(unsigned size) {
    insn_.has_immediate = true;
    insn_.immediate = static_cast<u64>(extend(take(size), size));
  }
  void plain() { insn_.operation = Operation::Plain; }
  unsigned full_size() const { return rex_w_ ? 8 : (bits_ == 16) != size_prefix_ ? 2 : 4; }
  unsigned immediate_size(bool wide) const { return !wide ? 1 : full_size() == 2 ? 2 : 4; }

  std::span<const u8> bytes_;
  unsigned bits_;
  unsigned at_ = 0;
  bool short_ = false;
  Instruction insn_;
  bool rex_w_ = false, rex_r_ = false, rex_x_ = false, rex_b_ = false;
  bool size_prefix_ = false, address_prefix_ = false, segment_prefix_ = false;
};

}  // namespace bunshin::vmm
