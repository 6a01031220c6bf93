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
      insn_.repeat_different = byte == 0xf2;
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
  if (bits_ == 64 && (peek() & 0xf0) == 0x40) rex();
  const unsigned natural = bits_ / 8;
  const unsigned other = natural == 8 || natural == 2 ? 4 : 2;
  insn_.address_size = static_cast<u8>(address_prefix_ ? other : natural);
}

void Decoder::rex() {
  const u8 byte = next();
  insn_.has_rex = true;
  rex_w_ = (byte & 8) != 0;
  rex_r_ = (byte & 4) != 0;
  rex_x_ = (byte & 2) != 0;
  rex_b_ = (byte & 1) != 0;
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

// Two or three bytes that hold REX, the mandatory prefix and the map (SDM vol. 2, 2.3.5).
void Decoder::vex(bool three) {
  const u8 first = next();
  const u8 last = three ? next() : first;
  rex_r_ = bits_ == 64 && (first & 0x80) == 0;
  rex_x_ = three && bits_ == 64 && (first & 0x40) == 0;
  rex_b_ = three && bits_ == 64 && (first & 0x20) == 0;
  vex_w_ = three && (last & 0x80) != 0;
  rex_w_ = vex_w_ && bits_ == 64;
  insn_.vex = true;
  insn_.second = static_cast<u8>(~last >> 3 & (bits_ == 64 ? 15 : 7));
  insn_.vector_size = (last & 4) != 0 ? 32 : 16;
  size_prefix_ = (last & 3) == 1;
  insn_.repeat = (last & 2) != 0;
  insn_.repeat_different = (last & 3) == 3;
  prefixed(three ? first & 0x1f : 1);
}

Instruction Decoder::run() {
  prefixes();
  const u8 opcode = next();
  // LES and LDS have no register operand: such encodings are VEX.
  const bool vex_prefix = (opcode == 0xc4 || opcode == 0xc5) && (bits_ == 64 || peek() >= 0xc0);
  if (vex_prefix) {
    vex(opcode == 0xc4);
  } else if (opcode == 0x0f) {
    two_bytes(next());
  } else {
    one_byte(opcode);
  }
  if (ran_out() || insn_.operation == Operation::Unknown) return {};
  insn_.length = static_cast<u8>(length());
  return insn_;
}

Instruction decode_instruction(std::span<const u8> bytes, unsigned code_bits) {
  return Decoder(bytes, code_bits).run();
}

}  // namespace bunshin::vmm
