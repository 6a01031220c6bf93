#pragma once

// An instruction as a pipeline sees it: what kind of work it is, which registers it waits for and provides, and how often
// it goes to memory. Derived once, from the opcode table's row and the decoded record.

#include <array>

#include "core/decode/row.h"

namespace bunshin {

/// Kinds of work. A processor's parameters give each a latency, a throughput and the ports that can do it.
enum class OpClass : u8 {
  Nop,
  Integer,  ///< add, logic, compare, moves between registers
  Shift,
  Multiply,
  Divide,
  Lea,
  Branch,
  Load,   ///< nothing but a load
  Store,  ///< nothing but a store
  VectorInteger,
  VectorShuffle,
  VectorMultiply,
  VectorMove,
  CrossDomain,  ///< between general and vector registers
  FloatAdd,
  FloatMultiply,
  FloatFma,
  FloatDivide,
  FloatRoot,
  FloatConvert,
  Crypto,  ///< AES, SHA, PCLMULQDQ, CRC32
  X87Add,
  X87Multiply,
  X87Divide,
  X87Move,
  X87Microcode,
  Microcode,  ///< long flows: string comparisons of SSE4.2, XSAVE, system instructions
  Count,
};

/// Registers that instructions depend on each other through.
namespace depend {
inline constexpr u8 gpr = 0, vector = 16, mmx = 32, flags = 40, x87 = 41, count = 42;
}

enum class BranchKind : u8 { None, Conditional, Direct, Call, Indirect, IndirectCall, Return };

struct Operation {
  static constexpr unsigned max_sources = 8, max_results = 5;

  OpClass op = OpClass::Nop;
  BranchKind branch = BranchKind::None;
  u8 loads = 0;  ///< references to memory, one for each operand however many pages it touches
  u8 stores = 0;
  /// How many it makes is only known when it runs (string instructions, XSAVE, far transfers): the rest of the block's log.
  bool open_ended = false;
  bool serializing = false;
  /// Registers by depend::…; the first `addresses` of them are needed for the address.
  u8 addresses = 0;
  u8 source_count = 0;
  u8 result_count = 0;
  std::array<u8, max_sources> sources{};
  std::array<u8, max_results> results{};
};

Operation describe_operation(const Row& row, const Record& record);

}  // namespace bunshin
