#pragma once

// The instructions that a hypervisor must understand: those that reach device registers or write page tables, and those whose
// exits do not tell their length. Everything else decodes to Operation::Unknown, with no length.

#include <span>

#include "base/types.h"
#include "vmm-model/registers.h"

namespace bunshin::vmm {

/// SDM vol. 2, 2.3.11: more bytes are #GP.
inline constexpr unsigned longest_instruction = 15;

enum class Operation : u8 {
  Unknown,
  // Group 1 in the order of its encoding (SDM vol. 2, table A-6).
  Add,
  Or,
  Adc,
  Sbb,
  And,
  Sub,
  Xor,
  Cmp,
  Mov,
  MovZero,
  MovSign,
  Test,
  Exchange,
  ExchangeAdd,
  CompareExchange,
  CompareExchangePair,
  BitTest,
  BitSet,
  BitReset,
  BitComplement,
  Increment,
  Decrement,
  Not,
  Negate,
  StoreString,
  MoveString,
  LoadString,
  MovFromControl,
  MovToControl,
  ClearTaskSwitched,
  LoadMachineStatus,
  StoreMachineStatus,
  InvalidatePage,
  InString,
  OutString,
  Plain  ///< of no interest but for its length: CPUID, HLT, RDMSR …
};

struct Instruction {
  Operation operation = Operation::Unknown;
  u8 length = 0;
  u8 operand_size = 4;  ///< of the destination, 1 to 8
  u8 source_size = 0;   ///< MovZero and MovSign
  u8 address_size = 8;
  bool memory = false;       ///< the rm operand is in memory
  bool to_register = false;  ///< the reg operand is the destination
  bool has_immediate = false;
  bool rip_relative = false;
  bool has_rex = false;
  bool repeat = false;
  bool locked = false;
  u8 reg = 0;  ///< number; control register for moves from and to them
  u8 rm = 0;
  i8 base = -1, index = -1;
  u8 scale = 0;
  SegmentName segment = SegmentName::ds;
  i64 displacement = 0;
  u64 immediate = 0;
};

/// The code segment's mode, 16, 32 or 64.
Instruction decode_instruction(std::span<const u8> bytes, unsigned code_bits);

}  // namespace bunshin::vmm
