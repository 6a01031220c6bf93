#pragma once

// The instructions that a hosted hypervisor has the modeled core execute (routines.S): each is a few bytes of machine code.

#include <span>

#include "base/types.h"

namespace bunshin::vmm {

/// In the order of routines.S.
enum class Routine : u8 {
  Nothing,
  RunVmcb,    ///< svm_switch: RDI = VMCB, RSI = page for the hypervisor's state, RDX = GeneralRegisters
  VmxSwitch,  ///< EAX = vmx_switch: EDI = it has been launched, RSI = GeneralRegisters
  VmxOn,
  VmClear,
  VmPtrLd,
  VmRead,   ///< RAX = the field RCX
  VmWrite,  ///< the field RCX = RAX
  InvEpt,   ///< RAX = scope, [RDI] = descriptor
  InvVpid,
  ReadCr2,
  WriteCr2,
  SetControlRegisters,  ///< CR0 = RAX, CR4 = RDX
  InvalidateGuestPage,
  Cpuid,
  ReadMsr,
  WriteMsr,
  ReadTimeStamp,
  SetExtendedControl,
  Xsave,
  Xrstor,
  Fxsave,
  Fxrstor,
  SaveDebugRegisters,
  LoadDebugRegisters,
  In8,
  In16,
  In32,
  Out8,
  Out16,
  Out32,
  Load32,   ///< EAX from [RDI]
  Store32,  ///< EAX to [RDI]
  TakeInterrupts,
  WaitForInterrupt,
  // Entries of the interrupt table.
  Timer,
  Spurious,
  FirstException,
};

/// Bytes from one routine to the next.
inline constexpr u64 routine_stride = 64;
/// What the marks behind routines say: the end of one, and an exception in one, whose vector is on the stack.
inline constexpr u16 routine_done = 0x3f00, routine_failed = 0x3f01;

/// All of them; it may be copied anywhere.
std::span<const u8> routine_code();
/// Where in it VT-x's exits go on.
u64 vmx_exit_offset();

}  // namespace bunshin::vmm
