#pragma once

// The decoder: prefixes and operands (instruction.cpp), opcodes (opcodes.cpp), by the tables of opcode_map.h.

#include "vmm-model/emulate/code_bytes.h"
#include "vmm-model/emulate/opcode_map.h"

namespace bunshin::vmm {

class Decoder final : private CodeBytes {
 public:
  Decoder(std::span<const u8> bytes, unsigned code_bits) : CodeBytes(bytes), bits_(code_bits) {}

  Instruction run();

 private:
  void prefixes();
  void rex();
  void one_byte(u8 opcode);
  void two_bytes(u8 opcode);
  void vex(bool three);
  void apply(const OpcodeRow& row);
  void prefixed(u8 map);
  void integer_operands(const PrefixedRow& row);
  void immediates(u16 form);
  void far_pointer();
  void group_7();
  void control_register(Operation operation);
  void modrm();
  void immediate(unsigned size) {
    insn_.has_immediate = true;
    insn_.immediate = static_cast<u64>(take_signed(size));
  }
  void plain() { insn_.operation = Operation::Plain; }
  /// The last of F2H and F3H goes before 66H (SDM vol. 2, 2.1.2).
  u8 prefix() const {
    if (insn_.repeat) return insn_.repeat_different ? mandatory::repeat_not : mandatory::repeat;
    return size_prefix_ ? mandatory::size : mandatory::none;
  }
  u8 full_size() const { return rex_w_ ? 8 : (bits_ == 16) != size_prefix_ ? 2 : 4; }
  u8 low_size() const { return rex_w_ ? 8 : 4; }
  u8 width_of(const OpcodeRow& row) const;

  unsigned bits_;
  Instruction insn_;
  bool vex_w_ = false;  ///< of vectors, in any mode
  bool rex_w_ = false, rex_r_ = false, rex_x_ = false, rex_b_ = false;
  bool size_prefix_ = false, address_prefix_ = false, segment_prefix_ = false;
};

}  // namespace bunshin::vmm
