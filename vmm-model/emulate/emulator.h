#pragma once

// Executes one instruction of a guest on the guest's behalf (CHAPTER S15, S18): memory operands go through `GuestAccess`, which
// knows RAM, page tables and device registers.

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

/// Linear memory as the guest's instruction sees it.
class GuestAccess {
 public:
  /// False: the access faulted and the fault is on its way to the guest. `size` is 1, 2, 4 or 8.
  virtual bool read(u64 linear, unsigned size, u64& value) = 0;
  virtual bool write(u64 linear, unsigned size, u64 value) = 0;

 protected:
  ~GuestAccess() = default;
};

/// What an instruction sees and changes.
struct EmulatedProcessor {
  GeneralRegisters& registers;
  u64& rip;
  u64& flags;
  unsigned code_bits = 64;
  std::array<u64, 6> segment_base{};
};

enum class EmulationResult : u8 {
  Done,
  Again,    ///< a repeated instruction has made part of its way
  Fault,    ///< GuestAccess refused; nothing changed, or a repeated instruction stands where it came to
  Unknown,  ///< not one of the instructions that are emulated
};

/// Iterations of a repeated string instruction before interrupts get their chance.
inline constexpr unsigned max_iterations = 512;

EmulationResult emulate(const Instruction& instruction, EmulatedProcessor& processor, GuestAccess& access);

/// Linear address of the memory operand.
u64 operand_address(const Instruction& instruction, const EmulatedProcessor& processor);

/// The value of register `number` as an operand of `size` bytes, and the register after such a write (SDM vol. 1, 3.4.1.1).
u64 read_register(const GeneralRegisters& registers, unsigned number, unsigned size, bool has_rex);
void write_register(GeneralRegisters& registers, unsigned number, unsigned size, bool has_rex, u64 value);

}  // namespace bunshin::vmm
