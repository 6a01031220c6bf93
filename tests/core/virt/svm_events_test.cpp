// GIF, interrupts and event injection (AMD APM vol. 2, 15.17, 15.20 to 15.22).

#include <gtest/gtest.h>

#include "core/events/debug.h"
#include "tests/core/virt/svm_fixture.h"

namespace bunshin {
namespace {

using svm::ExitCode;
namespace event_field = svm::event_field;
namespace virtual_interrupt = svm::virtual_interrupt;

constexpr u8 vector = 0x55;

/// A gate in the guest's IDT at 5000H leads to `handler`, which halts.
void add_gate(SvmMachine& m, u8 number) {
  m.guest.save.idtr = {0, 0, 0xfff, 0x5000};
  m.guest.save.gdtr = {0, 0, 0xff, 0x5f00};
  m.poke<u64>(0x5f08, 0x00af'9b00'0000'ffff);
  m.poke<u64>(0x5f10, 0x00cf'9300'0000'ffff);
  const u64 at = SvmMachine::handler;
  m.poke<u64>(0x5000 + number * 16u, (at & 0xffff) | u64{0x8} << 16 | u64{0x8e00} << 32 | (at >> 16) << 48);
  m.poke<u64>(0x5008 + number * 16u, 0);
  m.write(at, {0xf4});
  m.request(ExitCode::Hlt);
}

TEST(SvmEvents, InjectedInterruptIsTakenBeforeTheFirstInstruction) {
  SvmMachine m;
  add_gate(m, vector);
  m.guest_bytes({0x0f, 0x0b});
  m.guest.control.event_injection = vector | event_field::valid;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Hlt);
  EXPECT_EQ(m.guest.save.rip, SvmMachine::handler);
  EXPECT_EQ(m.guest.control.event_injection, 0u);
  EXPECT_EQ(m.peek<u64>(m.guest.save.rsp), SvmMachine::guest_code);
}

TEST(SvmEvents, ExitDuringInjectionTellsTheEvent) {
  SvmMachine m;
  add_gate(m, vector);
  m.guest.save.idtr.limit = 0;
  m.guest.control.intercepts[2] = ~u32{0};
  m.guest.control.event_injection = vector | event_field::valid;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Exception0 + 13);
  EXPECT_EQ(m.guest.control.exit_info_1, vector * 8u + 2 + 1);
  EXPECT_EQ(m.guest.control.exit_interrupt_info, vector | event_field::valid);
}

TEST(SvmEvents, VirtualInterruptWaitsForPriorityAndFlag) {
  SvmMachine m;
  add_gate(m, vector);
  m.guest_bytes({0xfb, 0x90, 0x90, 0x0f, 0xa2});  // sti; nop; nop; cpuid
  m.request(ExitCode::Cpuid);
  m.guest.control.virtual_interrupt = 0x5 | virtual_interrupt::irq | u64{5} << virtual_interrupt::priority_shift |
                                      u64{vector} << virtual_interrupt::vector_shift;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Cpuid);
  EXPECT_NE(m.guest.control.virtual_interrupt & virtual_interrupt::irq, 0u);
}

TEST(SvmEvents, VirtualInterruptIsDeliveredBehindTheShadow) {
  SvmMachine m;
  add_gate(m, vector);
  m.guest_bytes({0xfb, 0x90, 0x90, 0x0f, 0xa2});
  m.request(ExitCode::Cpuid);
  m.guest.control.virtual_interrupt = 0x4 | virtual_interrupt::irq | u64{5} << virtual_interrupt::priority_shift |
                                      u64{vector} << virtual_interrupt::vector_shift;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Hlt);
  EXPECT_EQ(m.guest.control.virtual_interrupt & virtual_interrupt::irq, 0u);
  EXPECT_EQ(m.peek<u64>(m.guest.save.rsp), SvmMachine::guest_code + 2);
}

TEST(SvmEvents, InterceptedVirtualInterruptIsAWindow) {
  SvmMachine m;
  m.guest_bytes({0x90, 0xfb, 0x90, 0x90});
  m.request(ExitCode::Vintr);
  m.guest.control.virtual_interrupt = virtual_interrupt::irq | virtual_interrupt::ignore_tpr;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Vintr);
  EXPECT_EQ(m.guest.save.rip, SvmMachine::guest_code + 3);
  EXPECT_NE(m.guest.control.virtual_interrupt & virtual_interrupt::irq, 0u);
}

TEST(SvmEvents, NmiTakesTheGuestAndWaitsForStgi) {
  SvmMachine m;
  m.guest_bytes({0xeb, 0xfe});
  m.request(ExitCode::Nmi);
  m.state().nmi_pending = true;
  // GIF is still set, but nothing is taken between two instructions of one slice without a look at the gate.
  m.svm().set_global_interrupts(false);
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Nmi);
  EXPECT_TRUE(m.state().nmi_pending);
  EXPECT_EQ(m.state().rip, SvmMachine::host_code + 4);
}

TEST(SvmEvents, InitThatGifHoldsTakesTheGuestAndThenTheHost) {
  SvmMachine m;
  m.guest_bytes({0xeb, 0xfe});
  m.request(ExitCode::Init);
  m.svm().set_global_interrupts(false);
  m.processor.init();
  m.processor.run(m.processor.cycles() + 10);  // a slice that ends where it began
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Init);
  EXPECT_EQ(m.state().rip, SvmMachine::host_code + 4);
  m.svm().set_global_interrupts(true);
  for (int slice = 0; slice < 2 && m.state().paging(); ++slice) m.processor.run(m.processor.cycles() + 10);
  EXPECT_FALSE(m.state().paging());
}

TEST(SvmEvents, LineThatTheGuestMonitorsIsNotTheHosts) {
  SvmMachine m;
  m.guest_bytes({0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xc8, 0x0f, 0xa2});  // xor ecx, ecx; xor edx, edx; monitor; cpuid
  m.guest.save.rax = 0x9000;
  m.request(ExitCode::Cpuid);
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Cpuid);
  EXPECT_EQ(m.state().monitored_line, CpuState::no_line);
}

TEST(SvmEvents, PausesAreCountedBeforeTheyExit) {
  SvmMachine m;
  m.guest_bytes({0xf3, 0x90, 0xff, 0xc1, 0xeb, 0xfa});  // again: pause; inc ecx; jmp again
  m.state().gpr[RCX] = 0;
  m.request(ExitCode::Pause);
  m.guest.control.pause_filter_count = 5;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Pause);
  EXPECT_EQ(m.state().gpr[RCX], 5u);
}

TEST(SvmEvents, InterruptShadowOfTheVmcbHoldsForOneInstruction) {
  SvmMachine m;
  m.guest_bytes({0x90, 0x90, 0x90});
  m.request(ExitCode::Vintr);
  m.guest.save.rflags |= rflags::IF;
  m.guest.control.interrupt_shadow = 1;
  m.guest.control.virtual_interrupt = virtual_interrupt::irq | virtual_interrupt::ignore_tpr;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Vintr);
  EXPECT_EQ(m.guest.save.rip, SvmMachine::guest_code + 1);
}

TEST(SvmEvents, BreakpointsAreDiscardedWhileGifIsClear) {
  SvmMachine m;
  constexpr u64 at_the_nop = SvmMachine::host_code + 3;
  m.write(SvmMachine::host_code, {0x0f, 0x01, 0xdd, 0x90, 0xf4});  // clgi; nop; hlt
  m.state().dr[0] = at_the_nop;
  m.state().dr[7] = dr7::fixed | 1;
  m.processor.state_changed();
  EXPECT_EQ(m.processor.run(m.processor.cycles() + 100), Stop::Halted);
  EXPECT_EQ(m.state().rip, at_the_nop + 2);
}

TEST(SvmEvents, VirtualGifIsTheGuestsOwn) {
  SvmMachine m;
  m.guest_bytes({0x0f, 0x01, 0xdd, 0x0f, 0xa2});  // clgi; cpuid
  m.request(ExitCode::Cpuid);
  m.guest.control.virtual_interrupt = virtual_interrupt::gif_enable | virtual_interrupt::gif;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Cpuid);
  EXPECT_EQ(m.guest.control.virtual_interrupt, virtual_interrupt::gif_enable);
}

TEST(SvmEvents, InterceptedExceptionTellsCodeAndAddress) {
  SvmMachine m;
  m.guest_bytes({0x8b, 0x04, 0x25, 0x00, 0x00, 0x00, 0x40});  // mov eax, [40000000h]
  m.request(ExitCode::Exception0 + 14);
  m.guest.save.cr2 = 0x77;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Exception0 + 14);
  EXPECT_EQ(m.guest.control.exit_info_2, 0x4000'0000u);
  EXPECT_EQ(m.guest.save.cr2, 0x77u);
  EXPECT_EQ(m.guest.control.fetched_bytes, 15u);
}

TEST(SvmEvents, ShutdownIsInterceptedAsSuch) {
  SvmMachine m;
  m.guest_bytes({0x0f, 0x0b});
  m.guest.save.idtr.limit = 0;
  m.request(ExitCode::Shutdown);
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Shutdown);
}

}  // namespace
}  // namespace bunshin
