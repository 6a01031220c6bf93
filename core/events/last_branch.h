#pragma once

// Last-branch recording and what DEBUGCTL.BTF needs to know: whether an instruction was a branch that was taken
// (SDM vol. 3, 17.4.2, 17.4.3 and 17.4.8; APM vol. 2, 13.1.1.7).

#include "core/cpu.h"
#include "core/decode/row.h"

namespace bunshin {

/// The classes that MSR_LBR_SELECT can leave out (SDM vol. 3, table 17-12), by bit number.
enum class BranchClass : u8 {
  None = 0,
  Conditional = 2,
  RelativeCall = 3,
  IndirectCall = 4,
  Return = 5,
  IndirectJump = 6,
  RelativeJump = 7,
  Far = 8,
};
BranchClass branch_class(const Row& row);

/// One instruction, as it stood before it ran.
class BranchTrace {
 public:
  BranchTrace() = default;
  BranchTrace(const CpuState& s, const Row& row, unsigned length)
      : kind_(branch_class(row)), cpl_(s.cpl), from_(s.rip), next_(s.rip + length) {}

  /// A conditional branch to the next instruction counts as not taken: nothing tells the difference afterwards.
  bool taken(u64 rip) const {
    return kind_ != BranchClass::None && (kind_ != BranchClass::Conditional || rip != next_);
  }
  BranchClass kind() const { return kind_; }
  unsigned cpl() const { return cpl_; }
  u64 from() const { return from_; }

 private:
  BranchClass kind_ = BranchClass::None;
  u8 cpl_ = 0;
  u64 from_ = 0;
  u64 next_ = 0;
};

/// The branch led to CpuState::rip.
void record_branch(Cpu& cpu, const BranchTrace& trace);
/// An exception or interrupt came at `from`, and its handler is at CpuState::rip: the last branch before it is kept, and
/// it is a branch itself.
void record_event(Cpu& cpu, u64 from);

/// Intel's stack of records; AMD's processors have one.
inline constexpr unsigned branch_records = 32;

}  // namespace bunshin
