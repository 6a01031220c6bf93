#include "vmm-model/emulate/instruction.h"

#include "vmm-model/emulate/decoder.h"

namespace bunshin::vmm {

void Decoder::prefixes() {
  static constexpr std::array<u8, 6> segments{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
  for (bool more = true; more && !ran_out();) {
    const u8 byte = peek();
    more = true;
    if (byte == 0x66) {
      size_prefix_ = true;
    } else if (byte == 0x67) {
      address_prefix_ = true;
    } else if (byte == 0xf0) {
      insn_.locked = true;
    } else if (byte == 0xf2 || byte == 0xf3) {
      insn_.repeat = true;
    } else {
      more = false;
      for (unsigned i = 0; i < segments.size(); ++i) {
        if (byte != segments[i]) continue;
        // In 64-bit mode only FS and GS have an effect (SDM vol. 1, 3.3.7.1).
        if (bits_ != 64 || i >= 4) {
          insn_.segment = static_cast<SegmentName>(i);
          segment_prefix_ = true;
        }
        more = true;
      }
    }
    if (more) next();
  }
  if (bits_ == 64 && (peek() & 0xf0) == 0x40) {
    const u8 rex = next();
    insn_.has_rex = true;
    rex_w_ = (rex & 8) != 0;
    rex_r_ = (rex & 4) != 0;
    rex_x_ = (rex & 2) != 0;
    rex_b_ = (rex & 1) != 0;
  }
  const unsigned natural = bits_ / 8;
  const unsigned other = natural == 8 || natural == 2 ? 4 : 2;
  insn_.address_size = static_cast<u8>(address_prefix_ ? other : natural);
}

void Decoder::modrm() {
  const u8 byte = next();
  insn_.reg = static_cast<u8>((byte >> 3 & 7) | (rex_r_ ? 8 : 0));
  if (byte >> 6 == 3) {
    insn_.rm = static_cast<u8>((byte & 7) | (rex_b_ ? 8 : 0));
    return;
  }
  memory_operand(insn_, byte,
                 {.segment_prefix = segment_prefix_, .long_mode = bits_ == 64, .rex_x = rex_x_, .rex_b = rex_b_});
}

void Decoder::binary(Operation operation, bool wide, bool to_register) {
  insn_.operation = operation;
  insn_.operand_size = static_cast<u8>(wide ? full_size() : 1);
  insn_.to_register = to_register;
  modrm();
}

Instruction decode_instruction(std::span<const u8> bytes, unsigned code_bits) {
  return Decoder(bytes, code_bits).run();
}

}  // namespace bunshin::vmm
