// DEBUGCTL: steps of branches, and the record of last branches (SDM vol. 3, 17.4).

#include <gtest/gtest.h>

#include "core/events/debug.h"
#include "core/system/msr.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

/// 64-bit code at 0x1000 and a #DB handler that counts in R8 and leaves the return address in R10.
struct BranchMachine : TestMachine {
  static constexpr u64 gdt = 0x110000, idt = 0x111000, handler = 0x3000;

  explicit BranchMachine(CpuProfile cpu_profile = resolved_profile()) : TestMachine(std::move(cpu_profile)) {
    enter_long(0x1000);
    poke<u64>(gdt + 8, 0x00af'9b00'0000'ffff);
    poke<u64>(gdt + 16, 0x00cf'9300'0000'ffff);
    for (const u64 vector : {1, 6}) poke<u64>(idt + 16 * vector, u64{0x8e00} << 32 | u64{8} << 16 | handler);
    state().gdtr = {gdt, 23};
    state().idtr = {idt, 0xfff};
    // inc r8; mov r10,[rsp]; iretq
    write(handler, {0x49, 0xff, 0xc0, 0x4c, 0x8b, 0x14, 0x24, 0x48, 0xcf});
  }
  u64 msr(u32 index) {
    u64 value = ~u64{0};
    EXPECT_TRUE(read_msr(processor.cpu(), index, value));
    return value;
  }
  u64 top() { return msr(0x1c9); }
  u64 from(u64 back = 0) { return msr(static_cast<u32>(0x680 + (top() + branch_records - back) % branch_records)); }
  u64 to(u64 back = 0) { return msr(static_cast<u32>(0x6c0 + (top() + branch_records - back) % branch_records)); }
};

TEST(BranchStep, TrapsAtTheTakenBranchOnlyAndSwitchesItselfOff) {
  BranchMachine m;
  m.state().msr.debugctl = debugctl::BTF;
  m.state().flags.system |= rflags::TF;
  // nop; nop; jne 0x1008, taken; hlt
  m.write(0x1000, {0x90, 0x90, 0x75, 0x04, 0xf4, 0xf4, 0xf4, 0xf4, 0xf4});
  EXPECT_EQ(m.processor.run(5), Stop::Deadline);
  EXPECT_EQ(m.state().gpr[R8], 1u);
  EXPECT_EQ(m.state().gpr[R10], 0x1008u);
  EXPECT_EQ(m.state().msr.debugctl, 0u);
}

TEST(BranchStep, PassesABranchThatIsNotTaken) {
  BranchMachine m;
  m.state().msr.debugctl = debugctl::BTF;
  m.state().flags.system |= rflags::TF;
  m.write(0x1000, {0x74, 0x04, 0x90, 0x90, 0x90});
  EXPECT_EQ(m.processor.run(4), Stop::Deadline);
  EXPECT_EQ(m.state().gpr[R8], 0u);
  EXPECT_EQ(m.state().rip, 0x1005u);
}

TEST(LastBranch, IsRecordedForJumpsCallsAndReturns) {
  BranchMachine m;
  m.state().msr.debugctl = debugctl::LBR;
  // call 0x1010; jmp 0x1020 … 0x1010: ret … 0x1020: hlt
  m.write(0x1000, {0xe8, 0x0b, 0, 0, 0, 0xeb, 0x19});
  m.write(0x1010, {0xc3});
  m.write(0x1020, {0xf4});
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  EXPECT_EQ(m.top(), 3u);
  EXPECT_EQ(m.from(2), 0x1000u);
  EXPECT_EQ(m.to(2), 0x1010u);
  EXPECT_EQ(m.from(1), 0x1010u);
  EXPECT_EQ(m.to(1), 0x1005u);
  EXPECT_EQ(m.from(), 0x1005u);
  EXPECT_EQ(m.to(), 0x1020u);
}

TEST(LastBranch, BeforeAnExceptionIsKeptApart) {
  BranchMachine m;
  m.state().msr.debugctl = debugctl::LBR;
  // jmp 0x1010 … ud2; the handler halts
  m.write(0x1000, {0xeb, 0x0e});
  m.write(0x1010, {0x0f, 0x0b});
  m.write(0x3000, {0xf4});
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  EXPECT_EQ(m.from(), 0x1010u);
  EXPECT_EQ(m.to(), 0x3000u);
  EXPECT_EQ(m.msr(0x1dd), 0x1000u);
  EXPECT_EQ(m.msr(0x1de), 0x1010u);
}

TEST(LastBranch, SelectLeavesOutWhatItNames) {
  BranchMachine m;
  m.state().msr.debugctl = debugctl::LBR;
  ASSERT_TRUE(write_msr(m.processor.cpu(), 0x1c8, 1u << 7));  // near relative jumps
  m.write(0x1000, {0xeb, 0x0e});
  m.write(0x1010, {0xf4});
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  EXPECT_EQ(m.top(), 0u);
  EXPECT_FALSE(write_msr(m.processor.cpu(), 0x1c8, 1u << 9));
}

TEST(LastBranch, OfAmdIsOnePair) {
  BranchMachine m(resolved_profile("AuthenticAMD"));
  m.state().msr.debugctl = debugctl::LBR;
  m.write(0x1000, {0xeb, 0x0e});
  m.write(0x1010, {0xf4});
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  EXPECT_EQ(m.msr(0x1db), 0x1000u);
  EXPECT_EQ(m.msr(0x1dc), 0x1010u);
  u64 value = 0;
  EXPECT_FALSE(read_msr(m.processor.cpu(), 0x680, value));
}

TEST(ExecutedCycles, AreNotThoseSpentWaiting) {
  BranchMachine m;
  m.write(0x1000, {0x90, 0xf4});
  EXPECT_EQ(m.processor.run(100), Stop::Halted);
  const u64 before = m.msr(0xe7);
  m.processor.skip_to(1000);
  m.processor.cpu().deadline = 1000;
  m.processor.cpu().budget = 0;
  EXPECT_EQ(m.msr(0xe7), before);
  ASSERT_TRUE(write_msr(m.processor.cpu(), 0xe8, 5));
  EXPECT_EQ(m.msr(0xe8), 5u);
  EXPECT_EQ(m.msr(0xe7), before);
}

}  // namespace
}  // namespace bunshin
