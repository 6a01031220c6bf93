#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

namespace {

constexpr unsigned max_length = 15;

class Decoder {
 public:
  Decoder(std::span<const u8> bytes, unsigned code_bits)
      : bytes_(bytes.first(bytes.size() < max_length ? bytes.size() : max_length)), bits_(code_bits) {}

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

void Decoder::prefixes() {
  static constexpr std::array<u8, 6> segments{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
  for (bool more = true; more && !short_;) {
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
  const u8 mod = byte >> 6;
  insn_.reg = static_cast<u8>((byte >> 3 & 7) | (rex_r_ ? 8 : 0));
  const u8 rm = byte & 7;
  if (mod == 3) {
    insn_.rm = static_cast<u8>(rm | (rex_b_ ? 8 : 0));
    return;
  }
  insn_.memory = true;
  if (insn_.address_size == 2) {
    memory16(mod, rm);
  } else {
    memory32(mod, rm);
  }
  const bool stack = insn_.base == rsp || insn_.base == rbp;
  if (stack && !segment_prefix_) insn_.segment = SegmentName::ss;
}

void Decoder::memory16(u8 mod, u8 rm) {
  static constexpr std::array<i8, 8> bases{rbx, rbx, rbp, rbp, rsi, rdi, rbp, rbx};
  static constexpr std::array<i8, 8> indices{rsi, rdi, rsi, rdi, -1, -1, -1, -1};
  insn_.base = bases[rm];
  insn_.index = indices[rm];
  if (mod == 0 && rm == 6) insn_.base = -1;
  const unsigned size = mod == 1 ? 1 : mod == 2 || (mod == 0 && rm == 6) ? 2 : 0;
  if (size != 0) insn_.displacement = extend(take(size), size);
}

void Decoder::memory32(u8 mod, u8 rm) {
  unsigned size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  if (rm == 4) {
    const u8 sib = next();
    insn_.scale = sib >> 6;
    const unsigned index = (sib >> 3 & 7) | (rex_x_ ? 8u : 0u);
    if (index != 4) insn_.index = static_cast<i8>(index);
    insn_.base = static_cast<i8>((sib & 7) | (rex_b_ ? 8 : 0));
    if ((sib & 7) == 5 && mod == 0) {
      insn_.base = -1;
      size = 4;
    }
  } else if (rm == 5 && mod == 0) {
    insn_.rip_relative = bits_ == 64;
    size = 4;
  } else {
    insn_.base = static_cast<i8>(rm | (rex_b_ ? 8 : 0));
  }
  if (size != 0) insn_.displacement = extend(take(size), size);
}

void Decoder::binary(Operation operation, bool wide, bool to_register) {
  insn_.operation = operation;
  insn_.operand_size = static_cast<u8>(wide ? full_size() : 1);
  insn_.to_register = to_register;
  modrm();
}

// CALL and JMP ptr16:16, ptr16:32: not in 64-bit mode.
void Decoder::far_pointer() {
  if (bits_ == 64) return;
  take(full_size() + 2);
  plain();
}

void Decoder::group_1(u8 opcode) {
  binary(Operation::Add, opcode != 0x80, false);
  insn_.operation = static_cast<Operation>(static_cast<unsigned>(Operation::Add) + (insn_.reg & 7));
  immediate(immediate_size(opcode == 0x81));
}

void Decoder::group_3(u8 opcode) {
  const bool wide = (opcode & 1) != 0;
  binary(Operation::Unknown, wide, false);
  switch (insn_.reg & 7) {
    case 0:
    case 1:
      insn_.operation = Operation::Test;
      immediate(immediate_size(wide));
      break;
    case 2: insn_.operation = Operation::Not; break;
    case 3: insn_.operation = Operation::Negate; break;
    default: break;
  }
}

void Decoder::string(u8 opcode) {
  insn_.operand_size = static_cast<u8>((opcode & 1) != 0 ? full_size() : 1);
  insn_.memory = true;
  switch (opcode & 0xfe) {
    case 0x6c: insn_.operation = Operation::InString; break;
    case 0x6e: insn_.operation = Operation::OutString; break;
    case 0xa4: insn_.operation = Operation::MoveString; break;
    case 0xaa: insn_.operation = Operation::StoreString; break;
    case 0xac: insn_.operation = Operation::LoadString; break;
    default: break;
  }
}

void Decoder::one_byte(u8 opcode) {
  const bool wide = (opcode & 1) != 0;
  if (opcode < 0x40 && (opcode & 7) < 4) {
    return binary(static_cast<Operation>(static_cast<unsigned>(Operation::Add) + (opcode >> 3)), wide,
                  (opcode & 2) != 0);
  }
  switch (opcode) {
    case 0x63:
      if (bits_ != 64) return;
      binary(Operation::MovSign, true, true);
      insn_.source_size = 4;
      return;
    case 0x6c:
    case 0x6d:
    case 0x6e:
    case 0x6f:
    case 0xa4:
    case 0xa5:
    case 0xaa:
    case 0xab:
    case 0xac:
    case 0xad: return string(opcode);
    case 0x80:
    case 0x81:
    case 0x83: return group_1(opcode);
    case 0x84:
    case 0x85: return binary(Operation::Test, wide, false);
    case 0x86:
    case 0x87: return binary(Operation::Exchange, wide, false);
    case 0x88:
    case 0x89: return binary(Operation::Mov, wide, false);
    case 0x8a:
    case 0x8b: return binary(Operation::Mov, wide, true);
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa3:
      insn_.operation = Operation::Mov;
      insn_.operand_size = static_cast<u8>(wide ? full_size() : 1);
      insn_.to_register = opcode < 0xa2;
      insn_.memory = true;
      insn_.displacement = static_cast<i64>(take(insn_.address_size));
      return;
    case 0xc6:
    case 0xc7:
      binary(Operation::Mov, wide, false);
      if ((insn_.reg & 7) != 0) insn_.operation = Operation::Unknown;
      return immediate(immediate_size(wide));
    case 0xe4:
    case 0xe5:
    case 0xe6:
    case 0xe7: next(); return plain();
    case 0xec:
    case 0xed:
    case 0xee:
    case 0xef:
    case 0xf4: return plain();
    case 0x9a:
    case 0xea: return far_pointer();
    case 0xcd: next(); return plain();
    case 0xcc:
    case 0xce:
    case 0xcf:
    case 0xf1: return plain();
    case 0xf6:
    case 0xf7: return group_3(opcode);
    case 0xfe:
    case 0xff:
      binary(Operation::Unknown, wide, false);
      if ((insn_.reg & 7) == 0) insn_.operation = Operation::Increment;
      if ((insn_.reg & 7) == 1) insn_.operation = Operation::Decrement;
      // Far CALL and JMP, which may switch tasks.
      if (wide && insn_.memory && ((insn_.reg & 7) == 3 || (insn_.reg & 7) == 5)) plain();
      return;
    default: return;
  }
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
  binary(Operation::Unknown, true, false);
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

void Decoder::group_8() {
  binary(Operation::Unknown, true, false);
  const u8 reg = insn_.reg & 7;
  if (reg < 4) return;
  insn_.operation = static_cast<Operation>(static_cast<unsigned>(Operation::BitTest) + reg - 4);
  immediate(1);
}

void Decoder::two_bytes(u8 opcode) {
  switch (opcode) {
    case 0x01: return group_7();
    case 0x06: insn_.operation = Operation::ClearTaskSwitched; return;
    case 0x08:  // INVD
    case 0x09:  // WBINVD
    case 0x30:  // WRMSR
    case 0x31:  // RDTSC
    case 0x32:  // RDMSR
    case 0x33:  // RDPMC
    case 0xa2:  // CPUID
      return plain();
    case 0x20:
    case 0x22: return control_register(opcode == 0x20 ? Operation::MovFromControl : Operation::MovToControl);
    case 0xa3: return binary(Operation::BitTest, true, false);
    case 0xab: return binary(Operation::BitSet, true, false);
    case 0xb0:
    case 0xb1: return binary(Operation::CompareExchange, opcode == 0xb1, false);
    case 0xb3: return binary(Operation::BitReset, true, false);
    case 0xb6:
    case 0xb7:
    case 0xbe:
    case 0xbf:
      binary(opcode < 0xb8 ? Operation::MovZero : Operation::MovSign, true, true);
      insn_.source_size = (opcode & 1) != 0 ? 2 : 1;
      return;
    case 0xba: return group_8();
    case 0xbb: return binary(Operation::BitComplement, true, false);
    case 0xc0:
    case 0xc1: return binary(Operation::ExchangeAdd, opcode == 0xc1, false);
    case 0xc3: return binary(Operation::Mov, true, false);  // MOVNTI
    case 0xc7:
      binary(Operation::Unknown, true, false);
      if ((insn_.reg & 7) == 1 && insn_.memory) {
        insn_.operation = Operation::CompareExchangePair;
        insn_.operand_size = rex_w_ ? 16 : 8;
      }
      return;
    default: return;
  }
}

}  // namespace

Instruction decode_instruction(std::span<const u8> bytes, unsigned code_bits) {
  return Decoder(bytes, code_bits).run();
}

}  // namespace bunshin::vmm
