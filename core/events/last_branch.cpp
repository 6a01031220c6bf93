#include "core/events/last_branch.h"

#include <algorithm>
#include <array>

#include "core/events/debug.h"

namespace bunshin {

namespace {

enum Select : u64 { not_at_level_0 = 1, not_at_other_levels = 2 };

void push_record(Cpu& cpu, u64 from, u64 to) {
  Msrs& m = cpu.state.msr;
  if (cpu.profile.intel()) m.branch_top = (m.branch_top + 1) % branch_records;
  m.branch_from[m.branch_top] = from;
  m.branch_to[m.branch_top] = to;
}

bool is_selected(const Cpu& cpu, BranchClass kind, unsigned cpl) {
  const u64 suppressed = cpu.state.msr.branch_select;
  if ((suppressed & (cpl == 0 ? not_at_level_0 : not_at_other_levels)) != 0) return false;
  return (suppressed >> static_cast<unsigned>(kind) & 1) == 0;
}

}  // namespace

BranchClass branch_class(const Row& row) {
  if ((row.attributes & attr::conditional_jump) != 0) return BranchClass::Conditional;
  const bool relative = row.operands[0] == Op::Jb || row.operands[0] == Op::Jz;
  if (row.mnemonic == "jmp") return relative ? BranchClass::RelativeJump : BranchClass::IndirectJump;
  if (row.mnemonic == "call") return relative ? BranchClass::RelativeCall : BranchClass::IndirectCall;
  if (row.mnemonic == "ret") return BranchClass::Return;
  if (relative) return BranchClass::Conditional;  // LOOPcc, JCXZ
  static constexpr std::array<std::string_view, 12> far{"ljmp", "lcall",   "retf",   "iret",     "int",     "int1",
                                                        "int3", "syscall", "sysret", "sysenter", "sysexit", "into"};
  return std::find(far.begin(), far.end(), row.mnemonic) != far.end() ? BranchClass::Far : BranchClass::None;
}

void record_branch(Cpu& cpu, const BranchTrace& trace) {
  if (is_selected(cpu, trace.kind(), trace.cpl())) push_record(cpu, trace.from(), cpu.state.rip);
}

void record_event(Cpu& cpu, u64 from) {
  Msrs& m = cpu.state.msr;
  if ((m.debugctl & debugctl::LBR) == 0) return;
  m.exception_from = m.branch_from[m.branch_top];
  m.exception_to = m.branch_to[m.branch_top];
  if (is_selected(cpu, BranchClass::Far, cpu.state.cpl)) push_record(cpu, from, cpu.state.rip);
}

}  // namespace bunshin
