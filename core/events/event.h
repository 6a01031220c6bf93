#pragma once

// What is delivered through the IDT: exceptions, interrupts, and those that instructions ask for (SDM vol. 3, ch. 6).

#include "base/types.h"

namespace bunshin {

enum class EventKind : u8 {
  Exception,
  External,
  Nmi,
  SoftwareInterrupt,            ///< INT n
  SoftwareException,            ///< INT3, INTO
  PrivilegedSoftwareException,  ///< INT1
};

/// One attempt at a delivery.
struct Event {
  u8 vector = 0;
  EventKind kind = EventKind::Exception;
  bool has_error_code = false;
  u32 error_code = 0;
  /// The address that a page fault will leave in CR2.
  u64 linear = 0;
  u64 return_rip = 0;
  /// Pushed RFLAGS; RF as the manual says.
  u64 flags = 0;
  /// Of the instruction that asked for it, in bytes.
  u8 instruction_length = 0;
  /// Set by a delivery that failed after switching to the handler's task: state and RIP are the new task's.
  bool in_new_task = false;

  /// Gate DPL is checked, and EXT is 0 in error codes.
  bool by_software() const { return kind == EventKind::SoftwareInterrupt || kind == EventKind::SoftwareException; }
  bool by_instruction() const { return by_software() || kind == EventKind::PrivilegedSoftwareException; }
};

/// What asks for a hardware task switch (SDM vol. 3, 7.3).
enum class TaskSwitchCause : u8 { Call, Return, Jump, Interrupt };

}  // namespace bunshin
