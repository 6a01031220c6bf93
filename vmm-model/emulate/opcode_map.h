#pragma once

// The opcode maps as tables (SDM vol. 2, appendix A): what an opcode does, how wide, and what follows it.

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

namespace form {
inline constexpr u16 modrm = 1 << 0, to_register = 1 << 1,
                     immediate_8 = 1 << 2,         // sign-extended
    immediate = 1 << 3,                            // a word or doubleword, as the operand size says
    immediate_16 = 1 << 4,                         // before immediate_8, if there is one
    immediate_full = 1 << 5,                       // as wide as the operand
    one = 1 << 6,                                  // the number, not in the code
    in_opcode = 1 << 7,                            // the rm operand is the register of the opcode's low bits
    wide = 1 << 8,                                 // 64 bits in 64-bit mode without being asked
    stack = 1 << 9, not_64 = 1 << 10,              // no such instruction in 64-bit mode
    only_64 = 1 << 11, memory_only = 1 << 12,      // the register form is another instruction
    implicit_memory = 1 << 13, address = 1 << 14;  // an address as an immediate
inline constexpr u16 any_immediate = immediate_8 | immediate | immediate_16 | immediate_full | one | address;
}  // namespace form

/// Byte: 1. Full: by prefixes and mode. Word, Low: 2, and 4 or 8 if REX.W or VEX.W says so.
enum class OperandWidth : u8 { Byte, Full, Word, Low };

enum class OpcodeGroup : u8 { None, One, OneA, Two, Three, Four, Five, Eight, Nine, Eleven, X87, System, Count };

struct OpcodeRow {
  Operation operation = Operation::Unknown;
  u16 form = 0;
  OperandWidth width = OperandWidth::Full;
  OpcodeGroup group = OpcodeGroup::None;  ///< ModRM.reg decides, beside what stands here
};

const OpcodeRow& one_byte_opcode(u8 opcode);
const OpcodeRow& two_byte_opcode(u8 opcode);
/// `memory`: the rm operand is.
OpcodeRow group_opcode(OpcodeGroup group, u8 opcode, unsigned reg, bool memory);

namespace mandatory {
inline constexpr u8 none = 1, size = 2, repeat = 4, repeat_not = 8;  // 66H, F3H, F2H
inline constexpr u8 any_size = none | size;
}  // namespace mandatory

/// An instruction that its prefix makes what it is: vectors, and what came after them.
struct PrefixedRow {
  u8 map;  ///< 1: 0FH, 2: 0F38H, 3: 0F3AH
  u8 opcode;
  u8 prefixes;  ///< one of these
  Operation operation;
  u8 bytes = 0;  ///< in memory; 0: all of the vector, `low`: 4 or 8 by REX.W, `operand`: an integer
  enum : u8 { Legacy = 1, Vex = 2, Both = 3, Mmx = 5 } encoding = Both;  ///< Mmx: Legacy, and its registers
  u8 reg = any;                                                          ///< ModRM.reg
  bool has_immediate = false;
  static constexpr u8 any = 8, low = 0xff, operand = 0xfe, half = 0xfd, quarter = 0xfc, eighth = 0xfb;
};

/// Null: none that is known.
const PrefixedRow* prefixed_opcode(u8 map, u8 opcode, u8 prefix, bool vex, unsigned reg);

}  // namespace bunshin::vmm
