#pragma once

// EXITCODE (AMD APM vol. 2, appendix C). Up to BFH a code is also the number of the bit that asks for the exit, counted through
// the six words of intercept bits at the head of the VMCB (15.9, table B-1).

#include <optional>

#include "base/types.h"

namespace bunshin::svm {

enum class ExitCode : u64 {
  ReadCr0 = 0x00,  ///< … ReadCr15
  WriteCr0 = 0x10,
  ReadDr0 = 0x20,
  WriteDr0 = 0x30,
  Exception0 = 0x40,
  Intr = 0x60,
  Nmi = 0x61,
  Smi = 0x62,
  Init = 0x63,
  Vintr = 0x64,
  Cr0SelectiveWrite = 0x65,
  IdtrRead = 0x66,
  GdtrRead = 0x67,
  LdtrRead = 0x68,
  TrRead = 0x69,
  IdtrWrite = 0x6a,
  GdtrWrite = 0x6b,
  LdtrWrite = 0x6c,
  TrWrite = 0x6d,
  Rdtsc = 0x6e,
  Rdpmc = 0x6f,
  Pushf = 0x70,
  Popf = 0x71,
  Cpuid = 0x72,
  Rsm = 0x73,
  Iret = 0x74,
  SoftwareInterrupt = 0x75,
  Invd = 0x76,
  Pause = 0x77,
  Hlt = 0x78,
  Invlpg = 0x79,
  Invlpga = 0x7a,
  Io = 0x7b,
  Msr = 0x7c,
  TaskSwitch = 0x7d,
  FerrFreeze = 0x7e,
  Shutdown = 0x7f,
  Vmrun = 0x80,
  Vmmcall = 0x81,
  Vmload = 0x82,
  Vmsave = 0x83,
  Stgi = 0x84,
  Clgi = 0x85,
  Skinit = 0x86,
  Rdtscp = 0x87,
  Icebp = 0x88,
  Wbinvd = 0x89,
  Monitor = 0x8a,
  Mwait = 0x8b,
  MwaitArmed = 0x8c,
  Xsetbv = 0x8d,
  Rdpru = 0x8e,
  EferWriteTrap = 0x8f,
  Cr0WriteTrap = 0x90,  ///< … Cr15WriteTrap
  Invlpgb = 0xa0,
  InvlpgbIllegal = 0xa1,
  Invpcid = 0xa2,
  Mcommit = 0xa3,
  Tlbsync = 0xa4,
  NestedPageFault = 0x400,
  Invalid = ~u64{0},
};

/// One of a row of codes.
constexpr ExitCode operator+(ExitCode first, unsigned number) {
  return static_cast<ExitCode>(static_cast<u64>(first) + number);
}

/// What a #VMEXIT tells besides the state.
struct ExitReason {
  ExitCode code = ExitCode::Invalid;
  u64 info_1 = 0, info_2 = 0;
  /// nRIP; 0 where the exit is not an instruction's (15.7.1).
  u64 next_rip = 0;
  /// Decode assists look at the instruction's bytes (Guest instruction bytes of the VMCB, decode assists).
  bool shows_instruction = false;
  /// The guest's RIP, where it is not the instruction's that raised the exit.
  std::optional<u64> trap_rip{};
};

}  // namespace bunshin::svm
