#include "vmm-model/arch/deprivileged/code.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr unsigned max_length = 15;

/// What follows an opcode.
constexpr u8 N = 0,  // nothing
    M = 1,           // ModRM
    B = 2,           // a byte
    Z = 4,           // a word or doubleword, as the operand size says
    W = 8,           // a word
    F = 16,          // far pointer
    O = 32,          // an offset, as the address size says
    G = 64,          // group 3: TEST has an immediate
    X = 128;         // no instruction
constexpr u8 MB = M | B, MZ = M | Z, WB = W | B;

// SDM vol. 2, tables, as 32-bit code sees them; prefixes never get here.
constexpr std::array<u8, 256> one_byte{M,  M,  M,  M,  B, Z, N,     N,     M,  M,  M, M,  B, Z, N, X,   // 00
                                       M,  M,  M,  M,  B, Z, N,     N,     M,  M,  M, M,  B, Z, N, N,   // 10
                                       M,  M,  M,  M,  B, Z, X,     N,     M,  M,  M, M,  B, Z, X, N,   // 20
                                       M,  M,  M,  M,  B, Z, X,     N,     M,  M,  M, M,  B, Z, X, N,   // 30
                                       N,  N,  N,  N,  N, N, N,     N,     N,  N,  N, N,  N, N, N, N,   // 40
                                       N,  N,  N,  N,  N, N, N,     N,     N,  N,  N, N,  N, N, N, N,   // 50
                                       N,  N,  M,  M,  X, X, X,     X,     Z,  MZ, B, MB, N, N, N, N,   // 60
                                       B,  B,  B,  B,  B, B, B,     B,     B,  B,  B, B,  B, B, B, B,   // 70
                                       MB, MZ, MB, MB, M, M, M,     M,     M,  M,  M, M,  M, M, M, M,   // 80
                                       N,  N,  N,  N,  N, N, N,     N,     N,  N,  F, N,  N, N, N, N,   // 90
                                       O,  O,  O,  O,  N, N, N,     N,     B,  Z,  N, N,  N, N, N, N,   // A0
                                       B,  B,  B,  B,  B, B, B,     B,     Z,  Z,  Z, Z,  Z, Z, Z, Z,   // B0
                                       MB, MB, W,  N,  M, M, MB,    MZ,    WB, N,  W, N,  N, B, N, N,   // C0
                                       M,  M,  M,  M,  B, B, N,     N,     M,  M,  M, M,  M, M, M, M,   // D0
                                       B,  B,  B,  B,  B, B, B,     B,     Z,  Z,  F, B,  N, N, N, N,   // E0
                                       X,  N,  X,  X,  N, N, M | G, M | G, N,  N,  N, N,  N, N, M, M};  // F0

constexpr std::array<u8, 256> two_bytes{M,  M,  M,  M,  X,  N,  N,  N, N, N, X,  N, X,  M, N, MB,  // 00
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // 10
                                        M,  M,  M,  M,  X,  X,  X,  X, M, M, M,  M, M,  M, M, M,   // 20
                                        N,  N,  N,  N,  N,  N,  X,  N, X, X, X,  X, X,  X, X, X,   // 30
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // 40
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // 50
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // 60
                                        MB, MB, MB, MB, M,  M,  M,  N, M, M, X,  X, M,  M, M, M,   // 70
                                        Z,  Z,  Z,  Z,  Z,  Z,  Z,  Z, Z, Z, Z,  Z, Z,  Z, Z, Z,   // 80
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // 90
                                        N,  N,  N,  M,  MB, M,  X,  X, N, N, N,  M, MB, M, M, M,   // A0
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, MB, M, M,  M, M, M,   // B0
                                        M,  M,  MB, M,  MB, MB, MB, M, N, N, N,  N, N,  N, N, N,   // C0
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // D0
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M,   // E0
                                        M,  M,  M,  M,  M,  M,  M,  M, M, M, M,  M, M,  M, M, M};  // F0

class CodeDecoder {
 public:
  CodeDecoder(std::span<const u8> bytes, unsigned bits)
      : bytes_(bytes.first(bytes.size() < max_length ? bytes.size() : max_length)), wide_(bits == 32) {}

  Code run();

 private:
  u8 peek(unsigned ahead = 0) const { return at_ + ahead < bytes_.size() ? bytes_[at_ + ahead] : 0; }
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
  i64 signed_byte_or(unsigned size) {
    const unsigned shift = 64 - 8 * size;
    return static_cast<i64>(take(size) << shift) >> shift;
  }
  bool prefix();
  u8 format();
  u8 vex_format(bool three);
  void operand();
  void address16(u8 mod, u8 rm);
  void address32(u8 mod, u8 rm);
  void follow(u8 format);

  std::span<const u8> bytes_;
  bool wide_;
  unsigned at_ = 0;
  bool short_ = false, size_prefix_ = false, address_prefix_ = false, segment_prefix_ = false;
  Code code_;
};

bool CodeDecoder::prefix() {
  Instruction& insn = code_.operand;
  const u8 byte = peek();
  switch (byte) {
    case 0x66: size_prefix_ = true; break;
    case 0x67: address_prefix_ = true; break;
    case 0xf0: insn.locked = true; break;
    case 0xf2:
    case 0xf3: insn.repeat = true; break;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
      insn.segment = static_cast<SegmentName>(byte >> 3 & 3);
      segment_prefix_ = true;
      break;
    case 0x64:
    case 0x65:
      insn.segment = byte == 0x64 ? SegmentName::fs : SegmentName::gs;
      segment_prefix_ = true;
      break;
    default: return false;
  }
  next();
  return !short_;
}

// Two or three bytes of prefix, then an opcode of the map that they name (SDM vol. 2, 2.3.5).
u8 CodeDecoder::vex_format(bool three) {
  code_.vex = true;
  const u8 first = next();
  code_.map = three ? first & 0x1f : 1;
  if (three) next();
  code_.opcode = next();
  if (code_.map == 1) return two_bytes[code_.opcode];
  return code_.map == 2 ? M : code_.map == 3 ? MB : X;
}

u8 CodeDecoder::format() {
  code_.opcode = next();
  // LES and LDS have no register operand: such encodings are VEX.
  if ((code_.opcode == 0xc4 || code_.opcode == 0xc5) && peek() >= 0xc0) return vex_format(code_.opcode == 0xc4);
  if (code_.opcode == 0x62 && peek() >= 0xc0) return X;  // EVEX: guests have no AVX-512
  if (code_.opcode != 0x0f) return one_byte[code_.opcode];
  code_.map = 1;
  code_.opcode = next();
  if (code_.opcode != 0x38 && code_.opcode != 0x3a) return two_bytes[code_.opcode];
  code_.map = code_.opcode == 0x38 ? 2 : 3;
  code_.opcode = next();
  return code_.map == 2 ? M : MB;
}

void CodeDecoder::address16(u8 mod, u8 rm) {
  static constexpr std::array<i8, 8> bases{rbx, rbx, rbp, rbp, rsi, rdi, rbp, rbx};
  static constexpr std::array<i8, 8> indices{rsi, rdi, rsi, rdi, -1, -1, -1, -1};
  Instruction& insn = code_.operand;
  const bool absolute = mod == 0 && rm == 6;
  insn.base = absolute ? i8{-1} : bases[rm];
  insn.index = indices[rm];
  const unsigned size = mod == 1 ? 1 : mod == 2 || absolute ? 2 : 0;
  if (size != 0) insn.displacement = signed_byte_or(size);
}

void CodeDecoder::address32(u8 mod, u8 rm) {
  Instruction& insn = code_.operand;
  unsigned size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
  u8 base = rm;
  if (rm == 4) {
    const u8 sib = next();
    insn.scale = sib >> 6;
    if ((sib >> 3 & 7) != 4) insn.index = static_cast<i8>(sib >> 3 & 7);
    base = sib & 7;
  }
  if (base == 5 && mod == 0) {
    size = 4;
  } else {
    insn.base = static_cast<i8>(base);
  }
  if (size != 0) insn.displacement = signed_byte_or(size);
}

void CodeDecoder::operand() {
  Instruction& insn = code_.operand;
  code_.has_modrm = true;
  code_.modrm = next();
  insn.reg = code_.reg();
  insn.rm = code_.modrm & 7;
  const u8 mod = code_.modrm >> 6;
  // Moves from and to control and debug registers ignore it (SDM vol. 2, MOV).
  const bool register_only = code_.map == 1 && !code_.vex && code_.opcode >= 0x20 && code_.opcode <= 0x23;
  if (mod == 3 || register_only) return;
  insn.memory = true;
  if (insn.address_size == 2) {
    address16(mod, insn.rm);
  } else {
    address32(mod, insn.rm);
  }
  const bool stack = insn.base == rbp || (insn.base == rsp && insn.address_size == 4);
  if (stack && !segment_prefix_) insn.segment = SegmentName::ss;
}

void CodeDecoder::follow(u8 format) {
  const unsigned full = code_.operand.operand_size;
  if ((format & M) != 0) operand();
  if ((format & G) != 0 && code_.reg() < 2) format |= (code_.opcode & 1) != 0 ? Z : B;
  if ((format & O) != 0) code_.immediate = take(code_.operand.address_size);
  if ((format & Z) != 0) code_.immediate = take(full);
  if ((format & W) != 0) code_.immediate = take(2);
  if ((format & B) != 0) code_.immediate |= take(1) << ((format & W) != 0 ? 16 : 0);
  if ((format & F) != 0) {
    code_.immediate = take(full);
    code_.selector = static_cast<u16>(take(2));
  }
}

Code CodeDecoder::run() {
  while (prefix()) {}
  code_.operand.operand_size = wide_ != size_prefix_ ? 4 : 2;
  code_.operand.address_size = wide_ != address_prefix_ ? 4 : 2;
  const u8 what = format();
  if ((what & X) != 0) return {};
  follow(what);
  if (short_) return {};
  code_.length = code_.operand.length = static_cast<u8>(at_);
  return code_;
}

}  // namespace

i32 Code::displacement() const {
  const bool byte = map == 0 && ((opcode & 0xf0) == 0x70 || (opcode & 0xfc) == 0xe0 || opcode == 0xeb);
  if (byte) return static_cast<i8>(immediate);
  return operand.operand_size == 2 ? static_cast<i16>(immediate) : static_cast<i32>(immediate);
}

Code decode_code(std::span<const u8> bytes, unsigned bits) { return CodeDecoder(bytes, bits).run(); }

Flow flow_of(const Code& code) {
  if (code.vex || code.map > 1) return Flow::Next;
  if (code.map == 1) {
    if ((code.opcode & 0xf0) == 0x80) return Flow::Branch;
    // SYSEXIT, UD2.
    return code.opcode == 0x35 || code.opcode == 0x0b ? Flow::End : Flow::Next;
  }
  if ((code.opcode & 0xf0) == 0x70 || (code.opcode & 0xfc) == 0xe0) return Flow::Branch;
  switch (code.opcode) {
    case 0xe8: return Flow::Call;
    case 0xe9:
    case 0xeb: return Flow::Jump;
    case 0xc2:
    case 0xc3:
    case 0xca:
    case 0xcb:
    case 0xcf:
    case 0xea: return Flow::End;
    case 0xff:
      if (code.reg() == 2) return Flow::IndirectCall;
      if (code.reg() == 4) return Flow::Indirect;
      return code.reg() == 5 ? Flow::End : Flow::Next;
    default: return Flow::Next;
  }
}

bool is_sensitive(const Code& code) {
  if (code.vex) return false;
  if (code.map == 0) {
    switch (code.opcode) {
      case 0x0e:  // PUSH CS
      case 0x16:  // PUSH SS
      case 0x9c:  // PUSHF
      case 0x9d:  // POPF
        return true;
      case 0x8c: return code.reg() == 1 || code.reg() == 2;  // MOV from CS, SS
      default: return false;
    }
  }
  if (code.map != 1) return false;
  switch (code.opcode) {
    case 0x00: return code.reg() < 2 || code.reg() == 4 || code.reg() == 5;        // SLDT, STR, VERR, VERW
    case 0x01: return code.reg() == 4 || (code.operand.memory && code.reg() < 2);  // SMSW, SGDT, SIDT
    case 0x02:                                                                     // LAR
    case 0x03:                                                                     // LSL
    case 0xa2:                                                                     // CPUID
      return true;
    default: return false;
  }
}

}  // namespace bunshin::vmm::deprivileged
