#pragma once

// Executes one instruction of a guest on the guest's behalf (CHAPTER S15, S18): memory operands go through `GuestAccess`, which
// knows RAM, page tables and device registers.

#include "vmm-model/emulate/instruction.h"

namespace bunshin::vmm {

/// What the access is for: one that changes what it reads faults as a write does.
enum class Intent : u8 { Read, Modify };

/// What the guest's instruction reaches beyond general registers. False: it faulted, and the fault is on its way to the guest.
class GuestAccess {
 public:
  // --- Linear memory as the instruction may access it. `size` is 1, 2, 4 or 8. ---
  virtual bool read(u64 linear, unsigned size, u64& value, Intent intent) = 0;
  virtual bool write(u64 linear, unsigned size, u64 value) = 0;
  /// That [linear, linear + size), at most a page, can be accessed: without the access.
  virtual bool permits(u64 linear, unsigned size, Intent intent) = 0;

  // --- What only some instructions need ---
  /// #GP or #SS unless the bytes lie within the segment, or at canonical addresses.
  virtual bool in_segment(SegmentName name, u64 offset, unsigned size, bool write) = 0;
  virtual u16 selector(SegmentName name) = 0;
  /// Words of the XSAVE area in its standard format (SDM vol. 1, 13.4). What is set does not count if the instruction faults.
  virtual u64 extended_state(unsigned offset) = 0;
  virtual void set_extended_state(unsigned offset, u64 value) = 0;
  virtual void raise(u8 vector) = 0;

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
  // Of instructions that use the stack without naming it:
  u8 stack_size = 8;  ///< of the stack pointer, in bytes
  u8 cpl = 0;
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

/// Where the memory operand lies in its segment, and its linear address. `rip`: of the instruction.
u64 operand_offset(const Instruction& instruction, const GeneralRegisters& registers, u64 rip);
u64 operand_address(const Instruction& instruction, const EmulatedProcessor& processor);

/// The value of register `number` as an operand of `size` bytes, and the register after such a write (SDM vol. 1, 3.4.1.1).
u64 read_register(const GeneralRegisters& registers, unsigned number, unsigned size, bool has_rex);
void write_register(GeneralRegisters& registers, unsigned number, unsigned size, bool has_rex, u64 value);

}  // namespace bunshin::vmm
