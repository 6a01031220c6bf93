// Debug registers and exceptions (SDM vol. 3, 17.2 and 17.3).

#include "core/events/debug.h"
#include "core/events/instructions.h"
#include "events_fixture.h"

namespace bunshin {
namespace {

struct DebuggedMachine : EventMachine {
  DebuggedMachine() {
    enter_protected();
    set_gate(1, make_gate(kernel_code, handler, 0xe, 0));
    set_gate(0x80, make_gate(kernel_code, handler, 0xf, 0));
  }
  /// DR`n` watches `address`; R/W and LEN as in DR7.
  void watch(unsigned n, u64 address, u64 rw, u64 len) {
    cpu.state.dr[n] = address;
    cpu.state.dr[7] |= u64{2} << (2 * n) | (rw | len << 2) << (16 + 4 * n);
  }
  bool at_handler() const { return cpu.state.rip == handler; }
};

TEST(InstructionBreakpoint, FaultsUnlessRfSuppressesItOnce) {
  DebuggedMachine m;
  m.watch(1, 0x1000, 0, 0);
  m.expect_fault(check_instruction_breakpoint(m.cpu), Vector::DB, 0);
  EXPECT_EQ(m.cpu.state.pending_debug, 2u);
  m.cpu.state.pending_debug = 0;
  m.cpu.state.flags.system |= rflags::RF;
  EXPECT_TRUE(check_instruction_breakpoint(m.cpu));
  EXPECT_EQ(m.cpu.state.flags.system & rflags::RF, 0u);
}

TEST(InstructionBreakpoint, ReportsInDr6AndLeavesRfOfTheImageAlone) {
  DebuggedMachine m;
  m.watch(0, 0x1000, 0, 0);
  m.cpu.state.dr[7] |= dr7::GD;
  ASSERT_FALSE(check_instruction_breakpoint(m.cpu));
  deliver_exception(m.cpu, m.cpu.fault);
  EXPECT_TRUE(m.at_handler());
  EXPECT_EQ(m.cpu.state.dr[6], dr6::fixed | 1);
  EXPECT_EQ(m.cpu.state.dr[7] & dr7::GD, 0u);
  EXPECT_EQ(m.stacked(2) & rflags::RF, 0u);
}

TEST(SingleStep, TrapsAfterTheInstructionWithTfSetAtItsStart) {
  DebuggedMachine m;
  m.cpu.state.flags.system |= rflags::TF;
  ASSERT_TRUE(check_instruction_breakpoint(m.cpu));
  m.cpu.state.flags.system &= ~rflags::TF;  // as POPF may
  m.cpu.state.rip = 0x1002;
  instruction_completed(m.cpu, {});
  EXPECT_TRUE(m.at_handler());
  EXPECT_EQ(m.cpu.state.dr[6], dr6::fixed | dr6::BS);
  EXPECT_EQ(m.stacked(0), 0x1002u);
}

TEST(SingleStep, DoesNotStepTheHandlerOfASoftwareInterrupt) {
  DebuggedMachine m;
  m.cpu.state.flags.system |= rflags::TF;
  ASSERT_TRUE(check_instruction_breakpoint(m.cpu));
  m.cpu.state.rip = 0x1002;
  ASSERT_TRUE(software_interrupt(m.cpu, {.length = 2}, 0x80, EventKind::SoftwareInterrupt));
  EXPECT_EQ(m.cpu.state.pending_debug, 0u);
}

TEST(SingleStep, IsForgottenWhenTheInstructionFaults) {
  DebuggedMachine m;
  m.set_gate(6, make_gate(m.kernel_code, m.handler + 6, 0xe, 0));
  m.cpu.state.flags.system |= rflags::TF;
  ASSERT_TRUE(check_instruction_breakpoint(m.cpu));
  deliver_exception(m.cpu, Fault::plain(Vector::UD));
  EXPECT_EQ(m.cpu.state.pending_debug, 0u);
  EXPECT_EQ(m.cpu.state.rip, m.handler + 6);
}

TEST(DebugShadow, HoldsTrapsBehindMovSs) {
  DebuggedMachine m;
  m.cpu.state.pending_debug = 4;
  m.cpu.state.debug_shadow = true;
  instruction_completed(m.cpu, {});
  EXPECT_FALSE(m.at_handler());
  ASSERT_TRUE(check_instruction_breakpoint(m.cpu));
  instruction_completed(m.cpu, {});
  EXPECT_TRUE(m.at_handler());
  EXPECT_EQ(m.cpu.state.dr[6], dr6::fixed | 4);
}

TEST(DataBreakpoint, MatchesOverlappingAccessesOfItsKind) {
  DebuggedMachine m;
  m.watch(2, 0x7004, 1, 3);  // writes to four bytes
  note_data_access(m.cpu.state, 0x7004, 4, false);
  note_data_access(m.cpu.state, 0x7008, 4, true);
  note_data_access(m.cpu.state, 0x7000, 4, true);
  EXPECT_EQ(m.cpu.state.pending_debug, 0u);
  note_data_access(m.cpu.state, 0x7000, 8, true);
  EXPECT_EQ(m.cpu.state.pending_debug, 4u);
  EXPECT_TRUE(data_breakpoint_in_page(m.cpu.state, 0x7fff));
  EXPECT_FALSE(data_breakpoint_in_page(m.cpu.state, 0x8000));
}

TEST(IoBreakpoint, NeedsDebuggingExtensions) {
  DebuggedMachine m;
  m.watch(3, 0x60, 2, 0);
  note_io_access(m.cpu.state, 0x60, 1);
  EXPECT_EQ(m.cpu.state.pending_debug, 0u);
  m.cpu.state.cr4 |= cr4::DE;
  note_io_access(m.cpu.state, 0x60, 1);
  EXPECT_EQ(m.cpu.state.pending_debug, 8u);
}

TEST(DebugShadow, BreakpointHeldBackByMovSsIsReportedWithInt1) {
  DebuggedMachine m;
  m.cpu.state.pending_debug = 2;
  ASSERT_TRUE(semantics::int1(m.cpu, Record{}));
  EXPECT_TRUE(m.at_handler());
  EXPECT_EQ(m.cpu.state.pending_debug, 0u);
  EXPECT_EQ(m.cpu.state.dr[6] & dr6::breakpoints, 2u);
}

TEST(GeneralDetect, IsAFaultThatResumesWithRf) {
  DebuggedMachine m;
  EXPECT_TRUE(check_general_detect(m.cpu));
  m.cpu.state.dr[7] |= dr7::GD;
  m.expect_fault(check_general_detect(m.cpu), Vector::DB, 0);
  deliver_exception(m.cpu, Fault::plain(Vector::DB));
  EXPECT_EQ(m.cpu.state.dr[6], dr6::fixed | dr6::BD);
  EXPECT_NE(m.stacked(2) & rflags::RF, 0u);
}

TEST(DebugActive, CostsNothingWithoutBreakpointsAndTf) {
  DebuggedMachine m;
  EXPECT_FALSE(debug_active(m.cpu));
  m.cpu.state.flags.system |= rflags::TF;
  EXPECT_TRUE(debug_active(m.cpu));
}

}  // namespace
}  // namespace bunshin
