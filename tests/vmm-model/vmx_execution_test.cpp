// A guest's state in a VMCS and beside it.

#include "vmx_fixture.h"

namespace bunshin::vmm::vmx {
namespace {

TEST_F(VmxExecutionTest, AnInjectedEventIsInjectedOnce) {
  start();
  guest->inject(Event::exception(vector::PF, 2));
  EXPECT_EQ(vmx.fields()[Field::EntryInterruption], 0x8000'0b0eu);
  EXPECT_EQ(vmx.fields()[Field::EntryErrorCode], 2u);
  EXPECT_TRUE(guest->event_pending());
  leave({{Field::ExitReason, 12}});
  EXPECT_FALSE(guest->event_pending());
}

TEST_F(VmxExecutionTest, WhatIsKnownIsNotReadAgainUntilTheGuestHasRun) {
  start();
  leave({{Field::ExitReason, 12}, {Field::GuestRip, 0x1000}});
  EXPECT_EQ(guest->get(StateField::rip), 0x1000u);
  const unsigned before = vmx.reads;
  EXPECT_EQ(guest->get(StateField::rip), 0x1000u);
  EXPECT_EQ(vmx.reads, before);
  leave({{Field::ExitReason, 12}, {Field::GuestRip, 0x2000}});
  EXPECT_EQ(guest->get(StateField::rip), 0x2000u);
}

TEST_F(VmxExecutionTest, LaunchedOnceThenResumed) {
  start();
  leave({{Field::ExitReason, 12}});
  leave({{Field::ExitReason, 12}});
  EXPECT_EQ(vmx.launches, (std::vector<bool>{false, true}));
}

TEST_F(VmxExecutionTest, ARefusedEntryTellsItsErrorNumber) {
  start();
  vmx.answer = Status::FailValid;
  vmx.fields()[Field::InstructionError] = 7;
  EXPECT_EQ(guest->enter().reason, ExitReason::EntryFailure);
  EXPECT_EQ(machine.said, "VT-x: VM entry fails with VM-instruction error 7\n");
}

TEST_F(VmxExecutionTest, RealModeIsRefusedWhereItCannotRun) {
  start();
  guest->use_shadow(HostPhysical(0x5000));
  guest->set(StateField::cr0, cr0::ET);
  EXPECT_EQ(guest->enter().reason, ExitReason::EntryFailure);
  EXPECT_EQ(machine.said, "VT-x: real mode needs nested paging on a processor with unrestricted guest\n");
  EXPECT_TRUE(vmx.launches.empty());
}

TEST_F(VmxExecutionTest, SegmentsComeBackAsTheyWent) {
  start();
  const SegmentState code{0x10, segment::P | segment::S | segment::L | segment::G | 0xb, 0xffff'ffff, 0};
  const SegmentState absent{0, 0x63, 0, 0x7000};
  guest->set_segment(SegmentName::cs, code);
  guest->set_segment(SegmentName::fs, absent);
  guest->set_segment(SegmentName::idtr, {0, 0, 0xfff, 0x8000});
  EXPECT_EQ(vmx.fields()[Field::GuestEsRights + 1], 0xa09bu);
  EXPECT_EQ(guest->segment(SegmentName::cs).attributes, code.attributes);
  EXPECT_EQ(guest->segment(SegmentName::fs).attributes & segment::P, 0);
  EXPECT_EQ(guest->segment(SegmentName::fs).base, 0x7000u);
  EXPECT_EQ(vmx.fields()[Field::GuestIdtrBase], 0x8000u);
}

// The guest reads its shadow, and the processor pages all the same.
TEST_F(VmxExecutionTest, AShadowedGuestBelievesWhatItWrote) {
  start();
  guest->use_shadow(HostPhysical(0x5000));
  EXPECT_EQ(vmx.fields()[Field::GuestCr0] & (cr0::PG | cr0::PE | cr0::WP), cr0::PG | cr0::PE | cr0::WP);
  EXPECT_EQ(vmx.fields()[Field::GuestCr3], 0x5000u);
  EXPECT_EQ(vmx.fields()[Field::GuestCr4] & (cr4::PAE | cr4::VMXE), cr4::PAE | cr4::VMXE);
  EXPECT_EQ(guest->get(StateField::cr0), cr0::PE | cr0::ET);
  EXPECT_EQ(guest->get(StateField::cr4), 0u);
  // TS is the guest's own.
  vmx.guest = [&](GeneralRegisters&) { vmx.fields()[Field::GuestCr0] |= cr0::TS; };
  guest->enter();
  EXPECT_EQ(guest->get(StateField::cr0), cr0::PE | cr0::ET | cr0::TS);
}

TEST_F(VmxExecutionTest, WithoutUnrestrictedGuestAnUnpagedGuestGoesThroughAnIdentityMap) {
  describe_vmx(machine, true);
  machine.msrs[vmx_msr::secondary] = u64{secondary::ept} << 32;
  pool.add(0x1000, 1 << 20);
  ASSERT_EQ(processor.enable(machine, pool), "");
  guest = create();
  const HostPhysical root = pool.allocate();
  guest->use_second_stage(root);
  u64 entry = root.value;
  const u64 address = vmx.fields()[Field::GuestCr3];
  for (unsigned shift : {39, 30, 21, 12}) {
    entry = machine.load(HostPhysical((entry & 0xf'ffff'ffff'f000) + (address >> shift & 511) * 8), 8);
    ASSERT_NE(entry & 1, 0u);
  }
  const HostPhysical directory(entry & 0xf'ffff'ffff'f000);
  for (unsigned i = 0; i < 1024; ++i) EXPECT_EQ(machine.load(directory + 4 * i, 4), i << 22 | 0xe7u);
  EXPECT_NE(vmx.fields()[Field::GuestCr4] & cr4::PSE, 0u);
  // Once it pages, CR3 is its own.
  guest->set(StateField::cr3, 0x9000);
  guest->set(StateField::cr0, cr0::PE | cr0::ET | cr0::PG);
  EXPECT_EQ(vmx.fields()[Field::GuestCr3], 0x9000u);
  EXPECT_EQ(vmx.fields()[Field::PrimaryControls] & (primary::cr3_load | primary::cr3_store), 0u);
}

TEST_F(VmxExecutionTest, SystemCallMsrsMoveWithTheGuestThatRuns) {
  start();
  VmxExecution* other = create();
  guest->set(StateField::lstar, 0x1111);
  other->set(StateField::lstar, 0x2222);
  guest->enter();
  EXPECT_EQ(machine.msrs[msr::lstar], 0x1111u);
  machine.msrs[msr::lstar] = 0x3333;  // the guest's own WRMSR
  other->enter();
  EXPECT_EQ(machine.msrs[msr::lstar], 0x2222u);
  EXPECT_EQ(guest->get(StateField::lstar), 0x3333u);
}

TEST_F(VmxExecutionTest, AFallingTaskPriorityIsWaitedForByItsThreshold) {
  start();
  guest->set(StateField::task_priority, 5);
  guest->request_priority_window(5);
  EXPECT_EQ(vmx.fields()[Field::TprThreshold], 5u);
  EXPECT_EQ(guest->get(StateField::task_priority), 5u);
}

TEST_F(VmxExecutionTest, GuestsAreToldApartByTheirVpids) {
  start();
  VmxExecution* other = create();
  guest->flush_page(Linear(0x1000));
  other->flush_page(Linear(0x1000));
  ASSERT_EQ(vmx.flushed_vpids.size(), 2u);
  EXPECT_NE(vmx.flushed_vpids[0], vmx.flushed_vpids[1]);
}

TEST_F(VmxExecutionTest, TheFirstVtxWillDo) {
  start(false);
  EXPECT_FALSE(processor.nested_paging());
  guest->use_shadow(HostPhysical(0x5000));
  constexpr u64 needed = primary::cr3_load | primary::cr8_load | primary::cr8_store;
  EXPECT_EQ(vmx.fields()[Field::PrimaryControls] & needed, needed);
  EXPECT_FALSE(vmx.fields().contains(Field::SecondaryControls));
  EXPECT_FALSE(vmx.fields().contains(Field::MsrBitmaps));
  EXPECT_FALSE(vmx.fields().contains(Field::VirtualProcessorId));
}

TEST_F(VmxExecutionTest, SaysWhatTheProcessorLacks) {
  describe_vmx(machine, true);
  machine.msrs[vmx_msr::feature_control] = 1;
  EXPECT_EQ(processor.enable(machine, pool), "disabled by firmware (IA32_FEATURE_CONTROL is locked without VMX)");
  machine.features = 0;
  EXPECT_EQ(processor.enable(machine, pool), "it has none (CPUID 1:ECX.VMX)");
}

TEST_F(VmxExecutionTest, LocksTheFeatureThatFirmwareLeftOpen) {
  describe_vmx(machine, true);
  machine.msrs[vmx_msr::feature_control] = 0;
  pool.add(0x1000, 1 << 20);
  EXPECT_EQ(processor.enable(machine, pool), "");
  EXPECT_EQ(machine.msrs[vmx_msr::feature_control], 5u);
}

}  // namespace
}  // namespace bunshin::vmm::vmx
