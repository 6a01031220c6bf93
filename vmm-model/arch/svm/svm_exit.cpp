// From exit codes to the words that all back ends share (APM vol. 2, appendix C).

#include "vmm-model/arch/svm/svm_execution.h"

namespace bunshin::vmm::svm {

namespace {

ExitReason reason_of(u64 code) {
  switch (code) {
    case exit_code::intr:
    case exit_code::smi:
    case exit_code::init: return ExitReason::Interrupt;
    case exit_code::nmi: return ExitReason::Nmi;
    case exit_code::vintr: return ExitReason::InterruptWindow;
    case exit_code::cr0_selective: return ExitReason::WriteControl;
    case exit_code::rdpmc: return ExitReason::ReadCounter;
    case exit_code::cpuid: return ExitReason::Cpuid;
    case exit_code::invd:
    case exit_code::wbinvd: return ExitReason::InvalidateCaches;
    case exit_code::hlt: return ExitReason::Hlt;
    case exit_code::invlpg: return ExitReason::InvalidatePage;
    case exit_code::io: return ExitReason::Io;
    case exit_code::task_switch: return ExitReason::TaskSwitch;
    case exit_code::shutdown: return ExitReason::Shutdown;
    case exit_code::vmmcall: return ExitReason::Hypercall;
    case exit_code::monitor:
    case exit_code::mwait:
    case exit_code::mwait_armed: return ExitReason::Monitor;
    case exit_code::xsetbv: return ExitReason::SetExtendedControl;
    case exit_code::npf: return ExitReason::SecondStageFault;
    case exit_code::invlpga:
    case exit_code::vmrun:
    case exit_code::vmload:
    case exit_code::vmsave:
    case exit_code::stgi:
    case exit_code::clgi:
    case exit_code::skinit: return ExitReason::VirtualizationInstruction;
    case exit_code::invalid: return ExitReason::EntryFailure;
    default: return ExitReason::Unknown;
  }
}

Event event_of(u64 info) {
  if ((info & event::valid) == 0) return {};
  Event e;
  e.vector = static_cast<u8>(info);
  switch (info >> event::type_shift & 7) {
    case event::external: e.kind = Event::Kind::Interrupt; break;
    case event::nmi: e.kind = Event::Kind::Nmi; break;
    // INT3 and INTO come as exceptions (15.20), and are to be executed again as INT n is.
    case event::exception:
      e.kind = e.vector == vector::BP || e.vector == vector::OF ? Event::Kind::Software : Event::Kind::Exception;
      break;
    default: e.kind = Event::Kind::Software; break;
  }
  e.has_error_code = (info & event::error_valid) != 0;
  e.error_code = static_cast<u32>(info >> 32);
  return e;
}

}  // namespace

// 15.10.2: EXITINFO1 describes the access, EXITINFO2 is the next instruction's address.
void SvmExecution::read_port_exit(Exit& exit, u64 info, u64 next_rip) {
  exit.port.port = static_cast<u16>(info >> 16);
  exit.port.size = (info & 0x10) != 0 ? 1 : (info & 0x20) != 0 ? 2 : 4;
  exit.port.in = (info & 1) != 0;
  exit.port.string = (info & 4) != 0;
  exit.port.repeat = (info & 8) != 0;
  exit.length = static_cast<u8>(next_rip - load(save::rip));
}

void SvmExecution::read_control_exit(Exit& exit, u64 code) {
  exit.reason = code < exit_code::cr_write ? ExitReason::ReadControl : ExitReason::WriteControl;
  exit.number = static_cast<u8>(code & 15);
}

// 15.14.1: EXITINFO2 tells the cause, but for CALL and for task gates.
void SvmExecution::read_task_exit(Exit& exit, u64 selector, u64 info) {
  constexpr u64 by_iret = u64{1} << 36, by_jump = u64{1} << 38, has_code = u64{1} << 44;
  exit.task.selector = static_cast<u16>(selector);
  exit.task.cause = (info & by_iret) != 0   ? TaskSwitchCause::Return
                    : (info & by_jump) != 0 ? TaskSwitchCause::Jump
                    : exit.interrupted      ? TaskSwitchCause::Gate
                                            : TaskSwitchCause::Call;
  exit.task.has_error_code = (info & has_code) != 0;
  exit.task.error_code = exit.task.has_error_code ? static_cast<u32>(info) : 0;
}

Exit SvmExecution::read_exit() {
  Exit exit;
  u64 code = load(control::exit_code);
  if (static_cast<u32>(code) == ~u32{0}) code = exit_code::invalid;  // some write 32 bits of it
  const u64 info_1 = load(control::exit_info_1), info_2 = load(control::exit_info_2);
  exit.code = code;
  exit.reason = reason_of(code);
  exit.interrupted = event_of(load(control::exit_interrupt_info));
  if (code < exit_code::dr_read) {
    read_control_exit(exit, code);
  } else if (code >= exit_code::exception && code < exit_code::exception + 32) {
    exit.number = static_cast<u8>(code - exit_code::exception);
    exit.reason = exception_reason(exit.number);
    exit.error_code = static_cast<u32>(info_1);
    exit.address = info_2;
  } else if (code == exit_code::icebp) {
    // INT1 is a trap: its handler returns behind it. Seen as an exception it could not be told from one that is a fault.
    exit.reason = ExitReason::Exception;
    exit.number = vector::DB;
    store(save::rip, load(save::rip) + 1);
    store(control::interrupt_shadow, 0);
  } else if (exit.reason == ExitReason::SecondStageFault) {
    exit.error_code = static_cast<u32>(info_1);
    exit.address = info_2;
  } else if (exit.reason == ExitReason::Io) {
    read_port_exit(exit, info_1, info_2);
  } else if (exit.reason == ExitReason::TaskSwitch) {
    read_task_exit(exit, info_1, info_2);
  } else if (code == exit_code::msr) {
    exit.reason = info_1 == 0 ? ExitReason::ReadMsr : ExitReason::WriteMsr;
  }
  return exit;
}

}  // namespace bunshin::vmm::svm
