// From exit reasons to the words that all back ends share (SDM vol. 3, 27.2 and appendix C).

#include "mmu/paging_mode.h"
#include "vmm-model/arch/vmx/vmx_execution.h"

namespace bunshin::vmm::vmx {

namespace {

ExitReason reason_of(u32 code) {
  if ((code & reason::entry_failure) != 0) return ExitReason::EntryFailure;
  if (code >= reason::vmclear && code <= reason::vmxon) return ExitReason::VirtualizationInstruction;
  switch (code) {
    case reason::external_interrupt:
    case reason::init: return ExitReason::Interrupt;
    case reason::triple_fault: return ExitReason::Shutdown;
    case reason::tpr_below_threshold:
    case reason::interrupt_window: return ExitReason::InterruptWindow;
    case reason::task_switch: return ExitReason::TaskSwitch;
    case reason::cpuid: return ExitReason::Cpuid;
    case reason::hlt: return ExitReason::Hlt;
    case reason::invd:
    case reason::wbinvd: return ExitReason::InvalidateCaches;
    case reason::invlpg: return ExitReason::InvalidatePage;
    case reason::rdpmc: return ExitReason::ReadCounter;
    case reason::vmcall: return ExitReason::Hypercall;
    case reason::io: return ExitReason::Io;
    case reason::rdmsr: return ExitReason::ReadMsr;
    case reason::wrmsr: return ExitReason::WriteMsr;
    case reason::mwait:
    case reason::monitor: return ExitReason::Monitor;
    case reason::ept_violation: return ExitReason::SecondStageFault;
    case reason::xsetbv: return ExitReason::SetExtendedControl;
    case reason::getsec:
    case reason::invept:
    case reason::invvpid:
    case reason::vmfunc: return ExitReason::VirtualizationInstruction;
    default: return ExitReason::Unknown;
  }
}

/// Exits that an instruction is the cause of tell its length (27.2.5).
bool by_instruction(ExitReason r) {
  switch (r) {
    case ExitReason::Interrupt:
    case ExitReason::InterruptWindow:
    case ExitReason::Nmi:
    case ExitReason::PageFault:
    case ExitReason::InvalidOpcode:
    case ExitReason::GeneralProtection:
    case ExitReason::Exception:
    case ExitReason::SecondStageFault:
    case ExitReason::Shutdown:
    case ExitReason::EntryFailure:
    case ExitReason::Unknown: return false;
    default: return true;
  }
}

/// IDT-vectoring information (27.2.4).
Event event_of(u32 information, u32 error_code) {
  if ((information & interruption::valid) == 0) return {};
  Event e;
  e.vector = static_cast<u8>(information);
  switch (information >> interruption::type_shift & 7) {
    case interruption::external: e.kind = Event::Kind::Interrupt; break;
    case interruption::nmi: e.kind = Event::Kind::Nmi; break;
    case interruption::hardware: e.kind = Event::Kind::Exception; break;
    default: e.kind = Event::Kind::Software; break;
  }
  e.has_error_code = (information & interruption::error_code) != 0;
  if (e.has_error_code) e.error_code = error_code;
  return e;
}

/// Table 27-5.
void read_port(PortAccess& port, u64 qualification) {
  port.size = static_cast<u8>((qualification & 7) + 1);
  port.in = (qualification & 8) != 0;
  port.string = (qualification & 0x10) != 0;
  port.repeat = (qualification & 0x20) != 0;
  port.port = static_cast<u16>(qualification >> 16);
}

/// Table 27-2; the causes have the order of TaskSwitchCause.
void read_task_switch(Exit& exit, u64 qualification) {
  exit.task.selector = static_cast<u16>(qualification);
  exit.task.cause = static_cast<TaskSwitchCause>(qualification >> 30 & 3);
  exit.task.has_error_code = exit.task.cause == TaskSwitchCause::Gate && exit.interrupted.has_error_code;
  exit.task.error_code = exit.interrupted.error_code;
}

}  // namespace

void VmxExecution::read_exception(Exit& exit, u32 information) {
  exit.number = static_cast<u8>(information);
  const bool nmi = (information >> interruption::type_shift & 7) == interruption::nmi;
  exit.reason = nmi ? ExitReason::Nmi : exception_reason(exit.number);
  if ((information & interruption::error_code) != 0) exit.error_code = vmcs_.read32(Field::ExitErrorCode);
  if (exit.reason == ExitReason::PageFault) exit.address = vmcs_.read(Field::ExitQualification);
  // A fault of an IRET that had ended an NMI's handler: it runs again, with NMIs blocked as they were (27.2.2).
  if ((information & interruption::nmi_unblocking) != 0 && !exit.interrupted && exit.number != vector::DF) {
    vmcs_.change_bits(Field::GuestInterruptibility, interruptibility::nmi, true);
  }
}

/// Table 27-3.
void VmxExecution::read_control_exit(Exit& exit, u64 qualification) {
  exit.number = static_cast<u8>(qualification & 15);
  exit.gpr = static_cast<u8>(qualification >> 8 & 15);
  switch (qualification >> 4 & 3) {
    case 0: exit.reason = ExitReason::WriteControl; break;
    case 1: exit.reason = ExitReason::ReadControl; break;
    case 2: exit.reason = ExitReason::ClearTaskSwitched; break;
    default: exit.reason = ExitReason::LoadMachineStatus; break;
  }
}

/// Table 27-7, as a page fault would say it.
void VmxExecution::read_second_stage_fault(Exit& exit, u64 qualification) {
  constexpr u64 write = 2, fetch = 4, any_right = 0x38;
  exit.address = vmcs_.read(Field::GuestPhysicalAddress);
  if ((qualification & any_right) != 0) exit.error_code |= page_fault::P;
  if ((qualification & write) != 0) exit.error_code |= page_fault::W;
  if ((qualification & fetch) != 0) exit.error_code |= page_fault::ID;
}

Exit VmxExecution::read_exit() {
  Exit exit;
  const u32 code = vmcs_.read32(Field::ExitReason);
  exit.code = code;
  exit.reason = reason_of(code);
  const u32 vectoring = vmcs_.read32(Field::IdtVectoring);
  if ((vectoring & interruption::valid) != 0 && exit.reason != ExitReason::EntryFailure) {
    const bool coded = (vectoring & interruption::error_code) != 0;
    exit.interrupted = event_of(vectoring, coded ? vmcs_.read32(Field::IdtVectoringErrorCode) : 0);
    if (exit.interrupted.kind == Event::Kind::Software) {
      software_event_length_ = static_cast<u8>(vmcs_.read(Field::ExitInstructionLength));
    }
  }
  if (code == reason::exception_or_nmi) {
    read_exception(exit, vmcs_.read32(Field::ExitInterruption));
    return exit;
  }
  if (code == reason::control_register) {
    read_control_exit(exit, vmcs_.read(Field::ExitQualification));
  } else if (exit.reason == ExitReason::Io) {
    read_port(exit.port, vmcs_.read(Field::ExitQualification));
  } else if (exit.reason == ExitReason::InvalidatePage || exit.reason == ExitReason::EntryFailure) {
    exit.address = vmcs_.read(Field::ExitQualification);
  } else if (exit.reason == ExitReason::TaskSwitch) {
    read_task_switch(exit, vmcs_.read(Field::ExitQualification));
  } else if (exit.reason == ExitReason::SecondStageFault) {
    read_second_stage_fault(exit, vmcs_.read(Field::ExitQualification));
  }
  if (by_instruction(exit.reason)) exit.length = static_cast<u8>(vmcs_.read(Field::ExitInstructionLength));
  return exit;
}

}  // namespace bunshin::vmm::vmx
