#pragma once

// The decoded instruction: the contract between the decoder, the engine and (later) a translator of hot blocks.

#include "base/types.h"

namespace bunshin {

class Cpu;
struct Record;

/// A handler executes one record and continues with the next one. In optimised builds it does so by a tail call and
/// returns only when the block is left; otherwise it returns the next record and the engine calls that
/// (core/engine/dispatch.h). nullptr: the block is left.
using Handler = const Record* (*)(Cpu&, const Record*);

/// Prefix and size facts packed in Record::prefixes.
namespace prefix {
inline constexpr u8 operand_size = 0x03;  ///< log2 of bytes: 1, 2, 4, 8
inline constexpr u8 address_size = 0x0c;  ///< log2 of bytes - 1, shifted by 2: 16, 32, 64 bits
inline constexpr u8 rep = 0x10;           ///< F3
inline constexpr u8 repne = 0x20;         ///< F2
inline constexpr u8 lock = 0x40;
inline constexpr u8 memory = 0x80;  ///< the ModRM operand is memory
}  // namespace prefix

struct Record {
  Handler run = nullptr;
  /// Immediate, sign- or zero-extended as the row says; branch displacement; 64-bit moffs; far pointer (offset, selector << 32).
  /// x87: FOP, the low three opcode bits and ModRM (SDM vol. 1, 8.1.9).
  /// VEX: the 8-bit immediate, and from its second byte on vvvv() and extra().
  u64 imm = 0;
  i32 disp = 0;
  /// ModRM.reg or opcode register, and ModRM.rm register. General registers: byte offset into CpuState::gpr (AH is RAX's + 1).
  /// All other files (segment, control, debug, x87, MMX, XMM): the register's number.
  u8 reg = 0;
  u8 rm = 0;
  /// Memory operand: byte offsets into CpuState::gpr of base and index (the zero slot if absent).
  u8 base = 0;
  u8 index = 0;
  u8 scale : 4 = 0;    ///< shift count 0-3
  u8 segment : 4 = 0;  ///< Seg of the memory operand, override applied
  u8 prefixes = 0;
  u8 length = 0;    ///< of the whole instruction, in bytes
  u8 position = 0;  ///< instructions before this one in the block
  u16 offset = 0;   ///< of the first byte from the block's start
  u16 row = 0;      ///< index into the opcode table

  unsigned operand_bytes() const { return 1u << (prefixes & prefix::operand_size); }
  unsigned address_bytes() const { return 2u << ((prefixes & prefix::address_size) >> 2); }
  bool has_memory() const { return (prefixes & prefix::memory) != 0; }
  /// VEX only. VEX.vvvv, numbered as `reg`, and the vector register of imm8[7:4] or of a VSIB byte's index.
  u8 vvvv() const { return static_cast<u8>(imm >> vvvv_shift); }
  u8 extra() const { return static_cast<u8>(imm >> extra_shift); }
  static constexpr unsigned vvvv_shift = 8, extra_shift = 16;
};

static_assert(sizeof(Record) == 32);

/// The number, as instructions encode it, of the general register at this offset (Record::reg, rm, base, index).
constexpr u32 register_number(u8 offset) { return offset / sizeof(u64); }

}  // namespace bunshin
