#pragma once

// What the pipeline models must know about instructions beyond the opcode table's operands: the kind of work, which
// operands are read and written, and the registers that no operand names.

#include <string_view>

#include "core/timing/operation.h"

namespace bunshin {

/// How the first operand is used. All others are read, unless `second_written`.
enum class FirstOperand : u8 { ReadWrite, Write, Read };

struct InstructionTraits {
  OpClass op = OpClass::Integer;
  FirstOperand first = FirstOperand::ReadWrite;
  bool reads_flags = false;
  bool writes_flags = false;
  bool second_written = false;
  bool serializing = false;
  bool open_ended = false;
  BranchKind branch = BranchKind::None;
  u16 reads = 0;  ///< general registers, bit n
  u16 writes = 0;
  u8 loads = 0;  ///< beside those of a memory operand: the stack
  u8 stores = 0;
};

/// Microcode that touches no register, for a row that the table does not know.
InstructionTraits traits_of(const Row& row);
bool has_traits(const Row& row);

}  // namespace bunshin
