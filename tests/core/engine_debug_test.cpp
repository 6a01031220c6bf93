// Breakpoints and single steps in running code (SDM vol. 3, 17.2 and 17.3).

#include <gtest/gtest.h>

#include "core/events/debug.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

/// 64-bit code at 0x1000 and a #DB handler that counts in R8, and leaves DR6 in R9 and the return address in R10.
struct DebugMachine : TestMachine {
  static constexpr u64 gdt = 0x110000, idt = 0x111000, handler = 0x3000, data = 0x200000;

  DebugMachine() {
    enter_long(0x1000);
    poke<u64>(gdt + 8, 0x00af'9b00'0000'ffff);
    poke<u64>(gdt + 16, 0x00cf'9300'0000'ffff);
    poke<u64>(idt + 16, u64{0x8e00} << 32 | u64{8} << 16 | handler);
    state().gdtr = {gdt, 23};
    state().idtr = {idt, 0xfff};
    // inc r8; mov r9,dr6; pop r10; push r10; iretq
    write(handler, {0x49, 0xff, 0xc0, 0x41, 0x0f, 0x21, 0xf1, 0x41, 0x5a, 0x41, 0x52, 0x48, 0xcf});
  }
  u64 traps() { return state().gpr[R8]; }
};

TEST(DataBreakpoint, TrapsBehindTheStoreThatHitsAWarmPage) {
  DebugMachine m;
  m.state().dr[1] = m.data;
  // mov byte [0x200000],1; mov eax,0x00d00408 (DR1: four bytes, writes); mov dr7,rax; mov dword [0x200000],42; hlt
  m.write(0x1000, {0xc6, 0x04, 0x25, 0,    0,    0x20, 0, 1,    0xb8, 0x08, 0x04, 0xd0, 0, 0x0f,
                   0x23, 0xf8, 0xc7, 0x04, 0x25, 0,    0, 0x20, 0,    42,   0,    0,    0, 0xf4});
  EXPECT_EQ(m.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(m.traps(), 1u);
  EXPECT_EQ(m.state().gpr[R9], dr6::fixed | 2);
  EXPECT_EQ(m.state().gpr[R10], 0x101bu);
  EXPECT_EQ(m.peek<u32>(m.data), 42u);
}

TEST(DataBreakpoint, OnReadsTooSeesALoadAndEndsWithDr7) {
  DebugMachine m;
  m.state().dr[0] = m.data;
  // mov eax,0x000f0402 (DR0: four bytes, reads and writes); mov dr7,rax; mov ebx,[0x200002];
  // mov eax,0x400; mov dr7,rax; mov ebx,[0x200002]; hlt
  m.write(0x1000, {0xb8, 0x02, 0x04, 0x0f, 0,    0x0f, 0x23, 0xf8, 0x8b, 0x1c, 0x25, 2, 0,    0x20, 0,   0xb8,
                   0,    4,    0,    0,    0x0f, 0x23, 0xf8, 0x8b, 0x1c, 0x25, 2,    0, 0x20, 0,    0xf4});
  EXPECT_EQ(m.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(m.traps(), 1u);
  EXPECT_EQ(m.state().gpr[R10], 0x100fu);
}

TEST(SingleStep, TrapsAfterEachIterationOfARepeatedInstruction) {
  DebugMachine m;
  m.state().gpr[RDI] = m.data;
  m.state().gpr[RCX] = 3;
  m.state().gpr[RBX] = 2;
  // pushfq; or dword [rsp],0x100; popfq; rep stosb; push rbx; popfq; hlt
  m.write(0x1000, {0x9c, 0x81, 0x0c, 0x24, 0, 1, 0, 0, 0x9d, 0xf3, 0xaa, 0x53, 0x9d, 0xf4});
  EXPECT_EQ(m.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(m.traps(), 5u) << "three iterations, PUSH, POPF";
  EXPECT_EQ(m.state().gpr[R9], dr6::fixed | dr6::BS);
  EXPECT_EQ(m.state().gpr[R10], 0x100du);
}

TEST(InstructionBreakpoint, OnARepeatedInstructionFaultsOnce) {
  DebugMachine m;
  m.state().gpr[RDI] = m.data;
  m.state().gpr[RCX] = 3;
  m.state().dr[0] = 0x1000;
  m.state().dr[7] = 0x402;
  m.processor.state_changed();
  // A handler that sets RF for its return: inc r8; or dword [rsp+16],0x10000; iretq
  m.write(m.handler, {0x49, 0xff, 0xc0, 0x81, 0x4c, 0x24, 0x10, 0, 0, 1, 0, 0x48, 0xcf});
  m.write(0x1000, {0xf3, 0xaa, 0xf4});
  EXPECT_EQ(m.processor.run(100'000), Stop::Halted);
  EXPECT_EQ(m.traps(), 1u);
  EXPECT_EQ(m.state().gpr[RCX], 0u);
}

}  // namespace
}  // namespace bunshin
