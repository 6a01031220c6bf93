#pragma once

// Why a guest was left, in words that all back ends share. The rows of the handler table (exit_table.h) are in this order.

#include <array>
#include <string_view>

#include "vmm-model/registers.h"

namespace bunshin::vmm {

enum class ExitReason : u8 {
  Interrupt,        ///< of the machine, not of the guest
  InterruptWindow,  ///< the guest can take an interrupt now
  Nmi,
  PageFault,
  InvalidOpcode,
  GeneralProtection,
  Exception,  ///< any other that is intercepted
  ReadControl,
  WriteControl,
  ClearTaskSwitched,  ///< CLTS, where the back end can tell it from WriteControl
  LoadMachineStatus,
  ReadMsr,
  WriteMsr,
  Io,
  Cpuid,
  Hlt,
  InvalidatePage,
  InvalidateCaches,  ///< WBINVD and INVD
  SetExtendedControl,
  Hypercall,
  Monitor,  ///< MONITOR and MWAIT
  ReadCounter,
  VirtualizationInstruction,
  SecondStageFault,
  TaskSwitch,
  Shutdown,
  EntryFailure,
  // Of guests in user state alone:
  SystemInstruction,     ///< the kernel's, that faults there
  SensitiveInstruction,  ///< that does not, and was rewritten
  SoftwareInterrupt,
  IndirectBranch,  ///< of the kernel's to code that may not have been scanned
  TableWrite,      ///< to a page table that is shadowed; the back end has performed it
  SwitchArea,      ///< an access to where the world switch lies; `address` is guest-physical
  Unknown,
  Count
};
inline constexpr unsigned exit_reasons = static_cast<unsigned>(ExitReason::Count);

/// Of an exception that is intercepted.
constexpr ExitReason exception_reason(u8 number) {
  switch (number) {
    case vector::PF: return ExitReason::PageFault;
    case vector::UD: return ExitReason::InvalidOpcode;
    case vector::GP: return ExitReason::GeneralProtection;
    default: return ExitReason::Exception;
  }
}

/// An event on its way into the guest, or one whose delivery an exit interrupted.
struct Event {
  enum class Kind : u8 { None, Interrupt, Nmi, Exception, Software };
  Kind kind = Kind::None;
  u8 vector = 0;
  bool has_error_code = false;
  u32 error_code = 0;

  static Event exception(u8 vector) { return {Kind::Exception, vector, false, 0}; }
  static Event exception(u8 vector, u32 code) { return {Kind::Exception, vector, true, code}; }
  static Event interrupt(u8 vector) { return {Kind::Interrupt, vector, false, 0}; }
  static Event nmi() { return {Kind::Nmi, 2, false, 0}; }
  explicit operator bool() const { return kind != Kind::None; }
};

struct PortAccess {
  u16 port = 0;
  u8 size = 1;
  bool in = false;
  bool string = false;
  bool repeat = false;
};

/// What has asked for a task switch. Gate: a task gate in the IDT, on the way of Exit::interrupted or of INT n, INT3, INTO.
enum class TaskSwitchCause : u8 { Call, Return, Jump, Gate };

struct TaskSwitchExit {
  u16 selector = 0;  ///< of the new task's TSS
  TaskSwitchCause cause = TaskSwitchCause::Jump;
  bool has_error_code = false;  ///< to be pushed on the new task's stack
  u32 error_code = 0;
};

struct Exit {
  ExitReason reason = ExitReason::Unknown;
  u64 address =
      0;  ///< PageFault: linear; SecondStageFault: guest-physical; InvalidatePage: linear, if `length` is known
  u32 error_code = 0;  ///< of the fault, in the format of #PF's
  u8 number = 0;       ///< vector, or control register
  u8 length = 0;       ///< of the instruction; 0: the back end does not know
  u8 gpr = 0;          ///< ReadControl and WriteControl: of MOV, if `length` is known
  PortAccess port;
  TaskSwitchExit task;
  Event interrupted;  ///< event whose delivery caused the exit
  u64 code = 0;       ///< as the hardware gave it, for messages
};

}  // namespace bunshin::vmm
