#pragma once

// What all decoders read alike (SDM vol. 2, 2.1): an instruction's bytes, one after the other, and the operand in memory that a
// ModRM byte names.

#include <span>

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

class CodeBytes {
 protected:
  explicit CodeBytes(std::span<const u8> bytes)
      : bytes_(bytes.first(bytes.size() < longest_instruction ? bytes.size() : longest_instruction)) {}

  /// 0 behind the end.
  u8 peek() const { return at_ < bytes_.size() ? bytes_[at_] : 0; }
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
  i64 take_signed(unsigned size) {
    const unsigned shift = 64 - 8 * size;
    return static_cast<i64>(take(size) << shift) >> shift;
  }
  /// More was asked for than there is.
  bool ran_out() const { return short_; }
  unsigned length() const { return at_; }

  /// What prefixes and mode say of it.
  struct MemoryForm {
    bool segment_prefix = false;
    bool long_mode = false;
    bool rex_x = false, rex_b = false;
  };
  /// Behind `modrm`, whose mod is not 3: SIB and displacement. `insn.address_size` is known.
  void memory_operand(Instruction& insn, u8 modrm, const MemoryForm& form);

 private:
  void memory16(Instruction& insn, u8 mod, u8 rm);
  void memory32(Instruction& insn, u8 mod, u8 rm, const MemoryForm& form);

  std::span<const u8> bytes_;
  unsigned at_ = 0;
  bool short_ = false;
};

}  // namespace bunshin::vmm
