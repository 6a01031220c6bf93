// Exits for control registers: only where the hypervisor keeps the tables that the hardware walks (shadow and vtlb).

#include "vmm-model/guest.h"
#include "vmm-model/guest_cpuid.h"

namespace bunshin::vmm {

namespace {

constexpr u64 cr0_defined =
    cr0::PE | cr0::MP | cr0::EM | cr0::TS | cr0::ET | cr0::NE | cr0::WP | cr0::AM | cr0::NW | cr0::CD | cr0::PG;

/// What guest_cpuid() shows, and so not PCIDE, PKE, LA57, VMXE, CET and PKS.
u64 cr4_allowed(Hardware& hardware) {
  constexpr u64 everywhere = 0x7ff;
  const u32 basic = guest_cpuid(hardware, 1, 0, false).ecx;
  const CpuidResult structured =
      guest_cpuid(hardware, 0, 0, false).eax >= 7 ? guest_cpuid(hardware, 7, 0, false) : CpuidResult{};
  const auto when = [](u32 feature, unsigned bit, u64 control) { return (feature >> bit & 1) != 0 ? control : 0; };
  return everywhere | when(basic, 26, cr4::OSXSAVE) | when(structured.ebx, 0, cr4::FSGSBASE) |
         when(structured.ebx, 7, cr4::SMEP) | when(structured.ebx, 20, cr4::SMAP) | when(structured.ecx, 2, cr4::UMIP);
}

bool general_protection(Guest& guest) {
  guest.inject(Event::exception(vector::GP, 0));
  return false;
}

bool retranslate(Guest& guest, bool done) {
  if (!done) guest.fail("no memory for its tables", {});
  return done;
}

// SDM vol. 3, 2.5 and 4.1.2.
bool write_cr0(Guest& guest, u64 value) {
  GuestExecution& execution = guest.execution();
  const u64 old = execution.get(StateField::cr0);
  u64 guest_efer = execution.get(StateField::efer);
  if (value >> 32 != 0) return general_protection(guest);
  value = (value & cr0_defined) | cr0::ET;
  if (((value & cr0::PG) != 0 && (value & cr0::PE) == 0) || ((value & cr0::NW) != 0 && (value & cr0::CD) == 0)) {
    return general_protection(guest);
  }
  const bool turns_on = (value & ~old & cr0::PG) != 0, turns_off = (old & ~value & cr0::PG) != 0;
  if (turns_on && (guest_efer & efer::LME) != 0) {
    const bool code64 = (execution.segment(SegmentName::cs).attributes & segment::L) != 0;
    if ((execution.get(StateField::cr4) & cr4::PAE) == 0 || code64) return general_protection(guest);
    guest_efer |= efer::LMA;
  }
  if (turns_off && guest.code_bits() == 64) return general_protection(guest);
  if (turns_off) guest_efer &= ~efer::LMA;
  execution.set(StateField::cr0, value);
  execution.set(StateField::efer, guest_efer);
  const u64 changed = value ^ old;
  if ((changed & cr0::PG) != 0) return retranslate(guest, guest.paging().controls_written());
  return (changed & cr0::WP) == 0 || retranslate(guest, guest.paging().rights_written());
}

bool write_cr3(Guest& guest, u64 value) {
  GuestExecution& execution = guest.execution();
  PagingControls controls = guest.paging().controls();
  controls.cr3 = value;
  const bool long_mode = (controls.efer & efer::LMA) != 0;
  if (long_mode && value >> controls.physical_bits != 0) return general_protection(guest);
  std::array<u64, 4> entries{};
  if (controls.mode() == PagingMode::Pae && !load_page_directory_pointers(guest.memory(), controls, entries)) {
    return general_protection(guest);
  }
  execution.set(StateField::cr3, value);
  return (execution.get(StateField::cr0) & cr0::PG) == 0 || retranslate(guest, guest.paging().root_written());
}

bool write_cr4(Guest& guest, u64 value) {
  GuestExecution& execution = guest.execution();
  const u64 old = execution.get(StateField::cr4);
  const bool loses_pae = (execution.get(StateField::efer) & efer::LMA) != 0 && (value & cr4::PAE) == 0;
  if ((value & ~cr4_allowed(guest.hardware())) != 0 || loses_pae) return general_protection(guest);
  execution.set(StateField::cr4, value);
  const u64 changed = value ^ old;
  if ((changed & (cr4::PSE | cr4::PAE)) != 0) return retranslate(guest, guest.paging().controls_written());
  const bool flushes = (changed & (cr4::PGE | cr4::SMEP | cr4::SMAP)) != 0;
  return !flushes || retranslate(guest, guest.paging().rights_written());
}

bool write_control(Guest& guest, unsigned number, u64 value) {
  switch (number) {
    case 0: return write_cr0(guest, value);
    case 3: return write_cr3(guest, value);
    case 4: return write_cr4(guest, value);
    case 8:
      if (value > 15) return general_protection(guest);
      guest.execution().set(StateField::task_priority, value);
      guest.pc().apic().set_task_priority_class(static_cast<u8>(value));
      return true;
    default: guest.inject(Event::exception(vector::UD)); return false;
  }
}

StateField control_register(unsigned number) {
  switch (number) {
    case 0: return StateField::cr0;
    case 3: return StateField::cr3;
    case 8: return StateField::task_priority;
    default: return StateField::cr4;
  }
}

/// The value that LMSW loads: the low four bits of CR0, but PE cannot be cleared (SDM vol. 2).
bool machine_status(Guest& guest, const Instruction& instruction, u64& value) {
  u64 rip = guest.execution().get(StateField::rip), flags = 0, operand = 0;
  const EmulatedProcessor p = guest.processor(rip, flags, instruction);
  if (!instruction.memory) {
    operand = p.registers[instruction.rm];
  } else if (!guest.access().read(operand_address(instruction, p), 2, operand, Intent::Read)) {
    return false;
  }
  const u64 old = guest.execution().get(StateField::cr0);
  value = (old & ~u64{0xf}) | (operand & 0xf) | (old & cr0::PE);
  return true;
}

/// The instruction that exited, as the exit says it or as it is in memory. False: `fault` as Guest::fetch() has it.
bool control_instruction(Guest& guest, const Exit& exit, Instruction& instruction, bool& fault) {
  if (exit.length == 0 || exit.reason == ExitReason::LoadMachineStatus) return guest.fetch(instruction, fault);
  instruction.operation = exit.reason == ExitReason::ClearTaskSwitched ? Operation::ClearTaskSwitched
                          : exit.reason == ExitReason::WriteControl    ? Operation::MovToControl
                                                                       : Operation::MovFromControl;
  instruction.length = exit.length;
  instruction.operand_size = guest.code_bits() == 64 ? 8 : 4;
  instruction.reg = exit.number;
  instruction.rm = exit.gpr;
  return true;
}

}  // namespace

void handle_read_control(Guest& guest, const Exit& exit) {
  Instruction instruction;
  bool fault = false;
  if (!control_instruction(guest, exit, instruction, fault)) {
    if (!fault) guest.fail("cannot decode an access to a control register", exit);
    return;
  }
  GuestExecution& execution = guest.execution();
  const u64 value = execution.get(control_register(exit.number));
  if (instruction.operation == Operation::StoreMachineStatus && instruction.memory) {
    u64 rip = execution.get(StateField::rip), flags = 0;
    if (!guest.access().write(operand_address(instruction, guest.processor(rip, flags, instruction)), 2,
                              value & 0xffff))
      return;
  } else {
    write_register(execution.registers, instruction.rm, instruction.operand_size, true, value);
  }
  guest.advance(instruction.length);
}

void handle_write_control(Guest& guest, const Exit& exit) {
  Instruction instruction;
  bool fault = false;
  if (!control_instruction(guest, exit, instruction, fault)) {
    if (!fault) guest.fail("cannot decode a write to a control register", exit);
    return;
  }
  GuestExecution& execution = guest.execution();
  bool done = false;
  if (instruction.operation == Operation::ClearTaskSwitched) {
    done = write_cr0(guest, execution.get(StateField::cr0) & ~cr0::TS);
  } else if (instruction.operation == Operation::LoadMachineStatus) {
    u64 value = 0;
    done = machine_status(guest, instruction, value) && write_cr0(guest, value);
  } else {
    u64 value = execution.registers[instruction.rm];
    if (instruction.operand_size == 4) value &= 0xffff'ffff;
    done = write_control(guest, instruction.reg, value);
  }
  if (done) guest.advance(instruction.length);
}

}  // namespace bunshin::vmm
