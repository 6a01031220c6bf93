#pragma once

// What a VM exit tells (SDM vol. 3, 27.2): reason, qualification, instruction information, interruption information.

#include "core/cpu.h"
#include "core/virt/vmx/controls.h"

namespace bunshin::vmx {

/// Basic exit reasons (appendix C).
enum class Reason : u32 {
  ExceptionOrNmi = 0,
  ExternalInterrupt = 1,
  TripleFault = 2,
  Init = 3,
  Sipi = 4,
  InterruptWindow = 7,
  NmiWindow = 8,
  TaskSwitch = 9,
  Cpuid = 10,
  Getsec = 11,
  Hlt = 12,
  Invd = 13,
  Invlpg = 14,
  Rdpmc = 15,
  Rdtsc = 16,
  Vmcall = 18,
  Vmclear = 19,
  Vmlaunch = 20,
  Vmptrld = 21,
  Vmptrst = 22,
  Vmread = 23,
  Vmresume = 24,
  Vmwrite = 25,
  Vmxoff = 26,
  Vmxon = 27,
  ControlRegister = 28,
  DebugRegister = 29,
  Io = 30,
  Rdmsr = 31,
  Wrmsr = 32,
  InvalidGuestState = 33,
  MsrLoading = 34,
  Mwait = 36,
  MonitorTrapFlag = 37,
  Monitor = 39,
  Pause = 40,
  TprBelowThreshold = 43,
  ApicAccess = 44,
  VirtualizedEoi = 45,
  GdtrOrIdtr = 46,
  LdtrOrTr = 47,
  EptViolation = 48,
  EptMisconfiguration = 49,
  Invept = 50,
  Rdtscp = 51,
  PreemptionTimer = 52,
  Invvpid = 53,
  Wbinvd = 54,
  Xsetbv = 55,
  ApicWrite = 56,
  Rdrand = 57,
  Invpcid = 58,
  Vmfunc = 59,
  Rdseed = 61,
  PmlFull = 62,
};
inline constexpr u32 entry_failure = u32{1} << 31;

struct ExitInformation {
  Reason reason = Reason::ExceptionOrNmi;
  u64 qualification = 0;
  u32 instruction_length = 0;
  u32 instruction_information = 0;
  u32 interruption = 0;  ///< VM-exit interruption information, valid bit included
  u32 error_code = 0;
  std::optional<u64> linear{};    ///< guest-linear address
  std::optional<u64> physical{};  ///< guest-physical address
  bool sets_rf = false;           ///< RFLAGS.RF is saved as 1 (27.3.3)
  bool keeps_debug = false;       ///< between instructions: debug exceptions stay pending (27.3.4)
};

/// Exit qualification of an instruction with a memory operand: its displacement, for RIP-relative ones the address.
u64 displacement(const Cpu& cpu, const Record& r);

/// VM-exit instruction information (tables 27-8 to 27-14), in whose order these are.
u32 string_io_information(const Record& r, bool input);
u32 invalidation_information(const Record& r);  ///< INVEPT, INVPCID, INVVPID
u32 table_information(const Record& r, const Cpu& cpu, u32 instruction);
u32 selector_information(const Record& r, u32 instruction);
u32 random_information(const Record& r);
u32 pointer_information(const Record& r);  ///< VMCLEAR, VMPTRLD, VMPTRST, VMXON
u32 field_information(const Record& r);    ///< VMREAD, VMWRITE

/// The format that events have in the interruption-information fields.
u32 interruption_information(const Event& event);

}  // namespace bunshin::vmx
