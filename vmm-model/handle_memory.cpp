// Exits for memory: the hidden faults that paging modes live on, and the accesses that reach devices.

#include "vmm-model/guest.h"

namespace bunshin::vmm {

// The policy is the enumeration: go on, tell the guest, or do the access for it.
void handle_memory_fault(Guest& guest, const Exit& exit) {
  const FaultResult result = guest.paging().fault(exit);
  switch (result.outcome) {
    case FaultOutcome::Resume: return;
    case FaultOutcome::Inject: return guest.inject_page_fault(exit.address, result.error_code);
    case FaultOutcome::Emulate: return guest.emulate_instruction(result.address);
    case FaultOutcome::NoMemory: return guest.fail("no memory for its tables", exit);
  }
}

void handle_emulated_access(Guest& guest, const Exit& exit) { guest.emulate_instruction(GuestPhysical(exit.address)); }

void handle_invalidate_page(Guest& guest, const Exit& exit) {
  Linear address(exit.address);
  u64 length = exit.length;
  if (length == 0) {
    Instruction instruction;
    bool fault = false;
    if (!guest.fetch(instruction, fault) || instruction.operation != Operation::InvalidatePage) {
      if (!fault) guest.fail("cannot decode INVLPG", exit);
      return;
    }
    u64 rip = guest.execution().get(StateField::rip), flags = 0;
    address = Linear(operand_address(instruction, guest.processor(rip, flags, instruction)));
    length = instruction.length;
  }
  guest.paging().invalidate(address);
  guest.execution().flush_page(address);
  guest.advance(length);
}

}  // namespace bunshin::vmm
