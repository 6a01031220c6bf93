#pragma once

// Every instruction of 16-bit and 32-bit code: its length, its operand, where it goes. For the back end that performs what a
// guest's kernel may not, and for the scanner, which must find the next instruction behind any (SDM vol. 2, appendix A).

#include <array>
#include <span>

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm::deprivileged {

struct Code {
  u8 length = 0;  ///< 0: not an instruction, or cut off
  u8 map = 0;     ///< 0: one byte, 1: 0FH, 2: 0F38H, 3: 0F3AH; VEX has the same
  u8 opcode = 0;
  u8 modrm = 0;
  bool has_modrm = false, vex = false;
  /// Operand and prefixes; `operation` is not set.
  Instruction operand;
  u64 immediate = 0;  ///< not extended; the offset of a far pointer
  u16 selector = 0;   ///< of a far pointer

  u8 reg() const { return modrm >> 3 & 7; }
  bool is(u8 of_map, u8 with_opcode) const { return !vex && map == of_map && opcode == with_opcode; }
  /// Sign-extended displacement of a near branch.
  i32 displacement() const;
};

/// `bits`: 16 or 32, of the code segment.
Code decode_code(std::span<const u8> bytes, unsigned bits);

/// Where control goes behind an instruction.
enum class Flow : u8 {
  Next,
  Branch,    ///< to a known target, or on
  Jump,      ///< to a known target
  Call,      ///< to a known target; it comes back
  Indirect,  ///< jump through a register or memory
  IndirectCall,
  End  ///< return, or nothing that comes back by itself
};
Flow flow_of(const Code& code);

/// Reads or changes what belongs to the kernel and does not trap in user state (Robin and Irvine, USENIX Security 2000).
bool is_sensitive(const Code& code);

/// Takes another stack from memory, where returns may lie that no call has put there: a kernel's switch of threads.
bool loads_stack(const Code& code);
/// A near return.
bool is_return(const Code& code);
/// Leaves at the top of the stack what a return behind it goes to: that is a branch (retpolines are made so).
bool puts_return(const Code& code);

}  // namespace bunshin::vmm::deprivileged
