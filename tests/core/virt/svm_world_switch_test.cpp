// VMRUN and #VMEXIT on a whole processor (AMD APM vol. 2, 15.5 and 15.6).

#include <gtest/gtest.h>

#include "tests/core/virt/svm_fixture.h"

namespace bunshin {
namespace {

using svm::ExitCode;

TEST(SvmWorldSwitch, GuestRunsAndExitsAtAnInterceptedInstruction) {
  SvmMachine m;
  m.guest_bytes({0xb8, 0x55, 0x00, 0x00, 0x00, 0x0f, 0xa2});  // mov eax, 55h; cpuid
  m.request(ExitCode::Cpuid);
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Cpuid);
  EXPECT_EQ(m.guest.save.rip, SvmMachine::guest_code + 5);
  EXPECT_EQ(m.guest.save.rax, 0x55u);
  EXPECT_EQ(m.guest.control.next_rip, SvmMachine::guest_code + 7);
}

TEST(SvmWorldSwitch, HostContinuesBehindVmrunWithItsOwnState) {
  SvmMachine m;
  m.guest_bytes({0x0f, 0x01, 0xd9});  // vmmcall
  m.request(ExitCode::Vmmcall);
  m.guest.save.rflags = 0x2 | rflags::CF;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Vmmcall);
  EXPECT_EQ(m.state().activity, Activity::Halted);
  EXPECT_EQ(m.state().rip, SvmMachine::host_code + 4);
  EXPECT_EQ(m.state().gpr[RSP], 0x8000u);
  EXPECT_EQ(m.state().gpr[RAX], SvmMachine::vmcb_at);
  EXPECT_EQ(m.state().flags.value() & rflags::CF, 0u);
  EXPECT_FALSE(m.svm().global_interrupts());
  EXPECT_EQ(m.processor.cpu().guest, nullptr);
}

TEST(SvmWorldSwitch, RefusedStateIsAnInvalidExit) {
  SvmMachine m;
  m.guest.control.asid = 0;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Invalid);
  EXPECT_EQ(m.state().rip, SvmMachine::host_code + 4);
  EXPECT_FALSE(m.svm().global_interrupts());
}

TEST(SvmWorldSwitch, NestedPageFaultTellsAddressAndCode) {
  SvmMachine m;
  m.nest();
  m.guest_bytes({0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00, 0xf4});  // mov rax, [600000h]
  m.poke<u64>(SvmMachine::nested_tables + 0x2000 + 3 * 8, 0);
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::NestedPageFault);
  EXPECT_EQ(m.guest.control.exit_info_1, 0x1'0000'0004u);
  EXPECT_EQ(m.guest.control.exit_info_2, 0x600000u);
  EXPECT_EQ(m.guest.control.fetched_bytes, 15u);
  EXPECT_EQ(m.guest.control.instruction_bytes[0], 0x48u);
  EXPECT_EQ(m.guest.control.next_rip, 0u);
}

TEST(SvmWorldSwitch, NestedGuestRunsToItsExit) {
  SvmMachine m;
  m.nest();
  m.guest_bytes({0x48, 0x8b, 0x04, 0x25, 0x00, 0x00, 0x60, 0x00, 0xf4});
  m.request(ExitCode::Hlt);
  m.poke<u64>(0x600000, 0x1234);
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Hlt);
  EXPECT_EQ(m.guest.save.rax, 0x1234u);
}

TEST(SvmWorldSwitch, CleanGroupsAreNotReadAgain) {
  SvmMachine m;
  m.guest_bytes({0x0f, 0xa2, 0xf4});  // cpuid; hlt
  m.request(ExitCode::Cpuid);
  m.request(ExitCode::Hlt);
  m.run();
  ASSERT_EQ(m.exit_code(), ExitCode::Cpuid);
  // Software breaks the rule: the intercept is gone from memory, but the group is said to be clean.
  m.guest.control.intercepts[2 + 1] &= ~(1u << 18);
  m.guest.control.clean = svm::clean::intercepts;
  m.state().rip = SvmMachine::host_code;
  m.state().activity = Activity::Active;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Cpuid);
  m.guest.control.clean = 0;
  m.state().rip = SvmMachine::host_code;
  m.state().activity = Activity::Active;
  m.run();
  EXPECT_EQ(m.exit_code(), ExitCode::Hlt);
}

TEST(SvmWorldSwitch, SpoiltHostSaveAreaShutsDown) {
  SvmMachine m;
  m.guest_bytes({0xc6, 0x04, 0x25, 0xd1, 0x64, 0x00, 0x00, 0x00, 0x0f, 0xa2});  // mov byte [hsave + 4d1h], 0; cpuid
  m.request(ExitCode::Cpuid);
  m.run();
  EXPECT_EQ(m.state().activity, Activity::Shutdown);
}

TEST(SvmWorldSwitch, InstructionsAreUndefinedWithoutSvme) {
  SvmMachine m;
  m.state().msr.efer &= ~efer::SVME;
  m.state().idtr = {0, 0};  // nothing can be delivered
  m.run();
  EXPECT_EQ(m.state().activity, Activity::Shutdown);
  EXPECT_EQ(m.guest.control.exit_code, 0u);
}

}  // namespace
}  // namespace bunshin
