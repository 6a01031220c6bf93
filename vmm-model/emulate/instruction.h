#pragma once

// The instructions that a hypervisor must understand: those that may reach device registers, holes, or memory whose writes it
// watches, and those whose exits do not tell their length. Everything else decodes to Operation::Unknown, with no length.

#include <span>

#include "base/types.h"
#include "vmm-model/registers.h"

namespace bunshin::vmm {

/// SDM vol. 2, 2.3.11: more bytes are #GP.
inline constexpr unsigned longest_instruction = 15;

enum class Operation : u8 {
  Unknown,
  // Groups 1 and 2 in the order of their encoding (SDM vol. 2, table A-6).
  Add,
  Or,
  Adc,
  Sbb,
  And,
  Sub,
  Xor,
  Cmp,
  RotateLeft,
  RotateRight,
  RotateCarryLeft,
  RotateCarryRight,
  ShiftLeft,
  ShiftRight,
  ShiftLeftToo,
  ShiftArithmetic,
  ShiftDoubleLeft,
  ShiftDoubleRight,
  Mov,
  MovZero,
  MovSign,
  MovSwapped,
  MoveIf,
  SetIf,
  StoreSegment,
  LoadAddress,
  Test,
  Exchange,
  ExchangeAdd,
  CompareExchange,
  CompareExchangePair,
  // Group 8.
  BitTest,
  BitSet,
  BitReset,
  BitComplement,
  ScanForward,
  ScanBackward,
  CountTrailing,
  CountLeading,
  CountOnes,
  Increment,
  Decrement,
  Not,
  Negate,
  Multiply,
  MultiplySigned,
  MultiplyTo,  ///< IMUL with two operands or three
  Divide,
  DivideSigned,
  AddCarry,     ///< ADCX
  AddOverflow,  ///< ADOX
  Checksum,     ///< CRC32
  AndNot,
  ResetLowest,
  MaskLowest,
  IsolateLowest,
  ZeroHigh,
  ExtractBits,
  ExtractField,
  DepositBits,
  MultiplyPlain,  ///< MULX
  ShiftPlain,     ///< SHLX, SARX, SHRX, RORX: no flags
  Translate,      ///< XLAT
  Bounds,
  // Strings.
  StoreString,
  MoveString,
  LoadString,
  CompareString,
  ScanString,
  InString,
  OutString,
  // The stack, and where control goes.
  Push,
  PushSegment,
  PushAll,
  PushFlags,
  Pop,
  PopAll,
  PopFlags,
  Enter,
  Leave,
  Call,
  Return,
  Jump,
  JumpIf,
  Loop,
  // Vectors: what moves them between memory and registers.
  VectorLoad,       ///< the rest of the register becomes 0
  VectorLoadLow,    ///< the other half stays, or is another register's
  VectorLoadHigh,   ///< likewise
  VectorStore,      ///< of the low end
  VectorStoreHigh,  ///< the upper half of 16 bytes
  VectorBroadcast,
  VectorDuplicate,
  VectorExtendZero,
  VectorExtendSign,
  VectorInsert,
  VectorInsertSingle,  ///< INSERTPS
  VectorExtract,
  VectorInsertHalf,
  VectorExtractHalf,
  VectorMaskedLoad,
  VectorMaskedStore,
  VectorMaskedBytes,  ///< MASKMOVQ, MASKMOVDQU
  // By 64 bits, of memory.
  VectorAnd,
  VectorAndNot,
  VectorOr,
  VectorXor,
  // Words of the state that FXSAVE has: MXCSR, the x87 control and status words.
  LoadState,
  StoreState,
  // What exits by itself.
  MovFromControl,
  MovToControl,
  ClearTaskSwitched,
  LoadMachineStatus,
  StoreMachineStatus,
  InvalidatePage,
  FlushLine,  ///< CLFLUSH, CLFLUSHOPT, CLWB
  Nothing,    ///< prefetches, NOP
  Plain,      ///< of no interest but for its length: CPUID, HLT, RDMSR …
  Count
};

struct Instruction {
  Operation operation = Operation::Unknown;
  u8 length = 0;
  u8 opcode = 0;        ///< its last byte; conditions are in the low four bits
  u8 operand_size = 4;  ///< of the destination, 1 to 16
  u8 source_size = 0;   ///< of what is in memory, where it is another: MovZero, MovSign, vectors
  u8 address_size = 8;
  bool memory = false;       ///< the rm operand is in memory
  bool to_register = false;  ///< the reg operand is the destination
  bool has_immediate = false;
  bool rip_relative = false;
  bool has_rex = false;
  bool repeat = false;
  bool repeat_different = false;  ///< … until equal: REPNE
  bool locked = false;
  bool stack = false;  ///< uses it without naming it
  bool vex = false;
  u8 reg = 0;          ///< number; control register for moves from and to them
  u8 rm = 0;           ///< number
  u8 second = 0;       ///< VEX.vvvv
  u8 vector_size = 0;  ///< 8: MMX, 16, 32
  i8 base = -1, index = -1;
  u8 scale = 0;
  SegmentName segment = SegmentName::ds;
  i64 displacement = 0;
  u64 immediate = 0;
};

/// The code segment's mode, 16, 32 or 64.
Instruction decode_instruction(std::span<const u8> bytes, unsigned code_bits);

}  // namespace bunshin::vmm
