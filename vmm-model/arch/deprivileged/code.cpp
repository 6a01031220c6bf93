#include "vmm-model/arch/deprivileged/code.h"

#include <array>

#include "vmm-model/emulate/code_bytes.h"

namespace bunshin::vmm::deprivileged {

namespace {

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

class CodeDecoder final : private CodeBytes {
 public:
  CodeDecoder(std::span<const u8> bytes, unsigned bits) : CodeBytes(bytes), wide_(bits == 32) {}

  Code run();

 private:
  bool prefix();
  u8 format();
  u8 vex_format(bool three);
  void operand();
  void follow(u8 format);

  bool wide_;
  bool size_prefix_ = false, address_prefix_ = false, segment_prefix_ = false;
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
  return !ran_out();
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

void CodeDecoder::operand() {
  Instruction& insn = code_.operand;
  code_.has_modrm = true;
  code_.modrm = next();
  insn.reg = code_.reg();
  insn.rm = code_.modrm & 7;
  // Moves from and to control and debug registers ignore it (SDM vol. 2, MOV).
  const bool register_only = code_.map == 1 && !code_.vex && code_.opcode >= 0x20 && code_.opcode <= 0x23;
  if (code_.modrm >> 6 == 3 || register_only) return;
  memory_operand(insn, code_.modrm, {.segment_prefix = segment_prefix_});
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
  if (ran_out()) return {};
  code_.length = code_.operand.length = static_cast<u8>(length());
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

bool loads_stack(const Code& code) { return code.is(0, 0x8b) && code.reg() == rsp && code.operand.memory; }

bool is_return(const Code& code) { return code.is(0, 0xc2) || code.is(0, 0xc3); }

bool puts_return(const Code& code) {
  if (code.vex || code.map != 0) return false;
  const Instruction& to = code.operand;
  const bool top = to.memory && to.base == rsp && to.index < 0 && to.displacement == 0;
  switch (code.opcode) {
    case 0x68:
    case 0x6a: return true;  // PUSH
    case 0xff: return code.reg() == 6;
    case 0x01:  // ADD
    case 0x87:  // XCHG
    case 0x89:
    case 0xc7: return top;  // MOV
    default: return (code.opcode & 0xf8) == 0x50;
  }
}

}  // namespace bunshin::vmm::deprivileged
