#pragma once

// Debug registers and debug exceptions (SDM vol. 3, 17.2 and 17.3).
//
// A debug trap is collected in CpuState::pending_debug (DR6 bits) while an instruction runs, and delivered behind it.
// BS is armed when an instruction begins with TF set; event delivery and SYSCALL disarm it, since the handler's first
// instruction is not stepped. The engine pays one test a block; while debug_active() it brackets each instruction with
// check_instruction_breakpoint() and instruction_completed().

#include "core/cpu.h"
#include "core/events/last_branch.h"

namespace bunshin {

namespace dr6 {
inline constexpr u64 breakpoints = 0xf, BD = 1u << 13, BS = 1u << 14, BT = 1u << 15;
inline constexpr u64 fixed = 0xffff'0ff0;  ///< reads as one
}  // namespace dr6
namespace dr7 {
inline constexpr u64 enables = 0xff, GD = 1u << 13;
inline constexpr u64 fixed = 0x400;
}  // namespace dr7

namespace debugctl {
inline constexpr u64 LBR = 1, BTF = 2;
}

/// Instructions must be run one by one.
inline bool debug_active(const Cpu& cpu) {
  const CpuState& s = cpu.state;
  return ((s.dr[7] & dr7::enables) | (s.flags.system & rflags::TF) | (s.msr.debugctl & debugctl::LBR) |
          s.pending_debug) != 0;
}

/// Before the instruction at CpuState::rip, once for each run of it (each iteration of a repeated string instruction).
/// False: an instruction breakpoint has raised #DB. True: RF is consumed, the single step is armed.
[[nodiscard]] bool check_instruction_breakpoint(Cpu& cpu);
/// After it completed (not after it faulted): records the branch, delivers the trap that is due.
void instruction_completed(Cpu& cpu, const BranchTrace& trace);
/// Delivers the trap in CpuState::pending_debug; between instructions, unless debug_shadow.
void deliver_pending_debug(Cpu& cpu);

/// Some data breakpoint is enabled: accesses to the pages below must not be hit fast.
bool data_breakpoints_enabled(const CpuState& s);
bool data_breakpoint_in_page(const CpuState& s, u64 linear);
/// Data accesses that completed, and I/O accesses, collect their breakpoints here.
void note_data_access(CpuState& s, u64 linear, unsigned size, bool write);
void note_io_access(CpuState& s, u16 port, unsigned size);

/// MOV to or from a debug register with DR7.GD set: raises #DB and returns false.
[[nodiscard]] bool check_general_detect(Cpu& cpu);

/// For event delivery: moves the pending bits to DR6; DR7.GD, and DEBUGCTL's LBR and BTF, are cleared.
void report_debug_exception(CpuState& s);

}  // namespace bunshin
