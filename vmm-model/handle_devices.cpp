// Exits for I/O ports (CHAPTER S18).

#include "vmm-model/emulate/arithmetic.h"
#include "vmm-model/guest.h"

namespace bunshin::vmm {

namespace {

/// One element of INS or OUTS. False: a page fault is on its way.
bool string_element(Guest& guest, const Instruction& instruction, EmulatedProcessor& p, u16 port) {
  const bool in = instruction.operation == Operation::InString;
  const u64 mask = size_mask(instruction.address_size);
  const Gpr pointer = in ? rdi : rsi;
  const SegmentName segment = in ? SegmentName::es : instruction.segment;
  const u64 linear = p.segment_base[static_cast<unsigned>(segment)] + (p.registers[pointer] & mask);
  u64 value = 0;
  if (in) {
    // The page first: a port's read must not be lost.
    if (!guest.access().permits(linear, instruction.operand_size, Intent::Modify)) return false;
    value = guest.pc().read_port(port, instruction.operand_size);
    if (!guest.access().write(linear, instruction.operand_size, value)) return false;
  } else {
    if (!guest.access().read(linear, instruction.operand_size, value, Intent::Read)) return false;
    guest.pc().write_port(port, instruction.operand_size, value);
  }
  const u64 step = (p.flags & rflags::DF) != 0 ? u64{0} - instruction.operand_size : instruction.operand_size;
  write_register(p.registers, pointer, instruction.address_size, true, (p.registers[pointer] + step) & mask);
  return true;
}

void string_port(Guest& guest, const Exit& exit) {
  Instruction instruction;
  bool fault = false;
  if (!guest.fetch(instruction, fault) ||
      (instruction.operation != Operation::InString && instruction.operation != Operation::OutString)) {
    if (!fault) guest.fail("cannot decode a string I/O instruction", exit);
    return;
  }
  if (instruction.operand_size == 8) instruction.operand_size = 4;
  u64 rip = guest.execution().get(StateField::rip), flags = guest.execution().get(StateField::rflags);
  EmulatedProcessor p = guest.processor(rip, flags, instruction);
  const u64 mask = size_mask(instruction.address_size);
  for (unsigned i = 0; i < max_iterations; ++i) {
    if (instruction.repeat && (p.registers[rcx] & mask) == 0) break;
    if (!string_element(guest, instruction, p, exit.port.port)) return;
    if (!instruction.repeat) break;
    write_register(p.registers, rcx, instruction.address_size, true, (p.registers[rcx] & mask) - 1);
  }
  if (instruction.repeat && (p.registers[rcx] & mask) != 0) return;
  guest.advance(instruction.length);
}

}  // namespace

void handle_port(Guest& guest, const Exit& exit) {
  if (exit.port.string) return string_port(guest, exit);
  GeneralRegisters& r = guest.execution().registers;
  // Stepping over it first: a write may end the guest.
  guest.skip_instruction(exit);
  if (exit.port.in) {
    write_register(r, rax, exit.port.size, true, guest.pc().read_port(exit.port.port, exit.port.size));
  } else {
    guest.pc().write_port(exit.port.port, exit.port.size, r[rax] & size_mask(exit.port.size));
  }
}

}  // namespace bunshin::vmm
