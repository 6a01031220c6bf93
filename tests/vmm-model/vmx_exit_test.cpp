// What a VMCS tells of an exit, in the words that all back ends share.

#include "vmx_fixture.h"

namespace bunshin::vmm::vmx {
namespace {

TEST_F(VmxExecutionTest, ReasonsOfInstructionsHaveLengths) {
  start();
  const std::map<u32, ExitReason> reasons{{10, ExitReason::Cpuid},
                                          {12, ExitReason::Hlt},
                                          {13, ExitReason::InvalidateCaches},
                                          {14, ExitReason::InvalidatePage},
                                          {15, ExitReason::ReadCounter},
                                          {18, ExitReason::Hypercall},
                                          {19, ExitReason::VirtualizationInstruction},
                                          {24, ExitReason::VirtualizationInstruction},
                                          {27, ExitReason::VirtualizationInstruction},
                                          {31, ExitReason::ReadMsr},
                                          {32, ExitReason::WriteMsr},
                                          {36, ExitReason::Monitor},
                                          {39, ExitReason::Monitor},
                                          {50, ExitReason::VirtualizationInstruction},
                                          {54, ExitReason::InvalidateCaches},
                                          {55, ExitReason::SetExtendedControl}};
  for (const auto& [code, reason] : reasons) {
    const Exit exit = leave({{Field::ExitReason, code}, {Field::ExitInstructionLength, 3}});
    EXPECT_EQ(exit.reason, reason) << code;
    EXPECT_EQ(exit.length, 3) << code;
    EXPECT_EQ(exit.code, code);
  }
}

TEST_F(VmxExecutionTest, ReasonsOfEventsHaveNone) {
  start();
  const std::map<u32, ExitReason> reasons{{1, ExitReason::Interrupt},
                                          {2, ExitReason::Shutdown},
                                          {7, ExitReason::InterruptWindow},
                                          {43, ExitReason::InterruptWindow},
                                          {49, ExitReason::Unknown},
                                          {62, ExitReason::Unknown},
                                          {reason::entry_failure | 33, ExitReason::EntryFailure}};
  for (const auto& [code, reason] : reasons) {
    const Exit exit = leave({{Field::ExitReason, code}, {Field::ExitInstructionLength, 3}});
    EXPECT_EQ(exit.reason, reason) << code;
    EXPECT_EQ(exit.length, 0) << code;
  }
}

TEST_F(VmxExecutionTest, APageFaultIsTheQualificationsAddress) {
  start();
  const Exit exit = leave({{Field::ExitReason, 0},
                           {Field::ExitInterruption, 0x8000'0b0e},
                           {Field::ExitErrorCode, 6},
                           {Field::ExitQualification, 0x1234'5678'9000}});
  EXPECT_EQ(exit.reason, ExitReason::PageFault);
  EXPECT_EQ(exit.number, vector::PF);
  EXPECT_EQ(exit.error_code, 6u);
  EXPECT_EQ(exit.address, 0x1234'5678'9000u);
}

TEST_F(VmxExecutionTest, AnNmiIsNoException) {
  start();
  EXPECT_EQ(leave({{Field::ExitReason, 0}, {Field::ExitInterruption, 0x8000'0202}}).reason, ExitReason::Nmi);
}

// SDM vol. 3, 27.2.2: the IRET that faulted runs again, with NMIs blocked.
TEST_F(VmxExecutionTest, AFaultOfIretBlocksNmisAgain) {
  start();
  leave({{Field::ExitReason, 0}, {Field::ExitInterruption, 0x8000'1b0e}});
  EXPECT_EQ(vmx.fields()[Field::GuestInterruptibility], interruptibility::nmi);
}

TEST_F(VmxExecutionTest, PortAccesses) {
  start();
  const Exit exit = leave({{Field::ExitReason, 30}, {Field::ExitQualification, 0x03f8'0000 | 0x38 | 1}});
  EXPECT_EQ(exit.reason, ExitReason::Io);
  EXPECT_EQ(exit.port.port, 0x3f8);
  EXPECT_EQ(exit.port.size, 2);
  EXPECT_TRUE(exit.port.in && exit.port.string && exit.port.repeat);
}

TEST_F(VmxExecutionTest, ControlRegisterAccesses) {
  start();
  const std::map<u64, ExitReason> qualifications{{0x003, ExitReason::WriteControl},
                                                 {0x013, ExitReason::ReadControl},
                                                 {0x020, ExitReason::ClearTaskSwitched},
                                                 {0x030, ExitReason::LoadMachineStatus}};
  for (const auto& [qualification, reason] : qualifications) {
    const Exit exit = leave({{Field::ExitReason, 28}, {Field::ExitQualification, qualification}});
    EXPECT_EQ(exit.reason, reason);
    EXPECT_EQ(exit.number, qualification & 15);
  }
}

TEST_F(VmxExecutionTest, AnEptViolationSpeaksAsAPageFault) {
  start();
  const Exit exit = leave({{Field::ExitReason, 48},
                           {Field::ExitQualification, 0x182 | 0x8},
                           {Field::GuestPhysicalAddress, 0xfee0'0300},
                           {Field::ExitInstructionLength, 9}});
  EXPECT_EQ(exit.reason, ExitReason::SecondStageFault);
  EXPECT_EQ(exit.address, 0xfee0'0300u);
  EXPECT_EQ(exit.error_code, 3u);
  EXPECT_EQ(exit.length, 0);
}

TEST_F(VmxExecutionTest, AnInterruptedEventComesAlong) {
  start();
  const Exit exit =
      leave({{Field::ExitReason, 48}, {Field::IdtVectoring, 0x8000'0b0d}, {Field::IdtVectoringErrorCode, 8}});
  EXPECT_EQ(exit.interrupted.kind, Event::Kind::Exception);
  EXPECT_EQ(exit.interrupted.vector, vector::GP);
  EXPECT_EQ(exit.interrupted.error_code, 8u);
}

TEST_F(VmxExecutionTest, AnInterruptedSoftwareInterruptIsInjectedWithItsLength) {
  start();
  const Exit exit =
      leave({{Field::ExitReason, 48}, {Field::IdtVectoring, 0x8000'0480}, {Field::ExitInstructionLength, 2}});
  ASSERT_EQ(exit.interrupted.kind, Event::Kind::Software);
  guest->inject(exit.interrupted);
  EXPECT_EQ(vmx.fields()[Field::EntryInterruption], 0x8000'0480u);
  EXPECT_EQ(vmx.fields()[Field::EntryInstructionLength], 2u);
}

}  // namespace
}  // namespace bunshin::vmm::vmx
