// Exits: their reason, and what they tell.

#include "core/events/debug.h"
#include "tests/core/virt/vmx_fixture.h"

namespace bunshin::vmx {
namespace {

u64 qualification(VmxMachine& m) { return m.vmcs().read(Field::ExitQualification); }

TEST(VmxExit, OfCpuidTellsItsLength) {
  VmxMachine m;
  m.prepare({0x90, 0x0f, 0xa2});
  m.launch_until_exit();
  ASSERT_FALSE(m.in_guest());
  EXPECT_EQ(m.exit_reason(), 10u);
  EXPECT_EQ(m.vmcs().read(Field::ExitInstructionLength), 2u);
  EXPECT_EQ(m.vmcs().read(Field::GuestRip), VmxMachine::guest_code + 1);
  EXPECT_EQ(m.state().rip, VmxMachine::after_exit);
  EXPECT_EQ(m.state().gpr[RSP], 0x8000u);
}

TEST(VmxExit, RestoresTheHostsSegments) {
  VmxMachine m;
  m.prepare();
  m.set(Field::GuestGsBase, 0x7777);
  m.set(Field::HostGsBase, 0x8888);
  m.launch_until_exit();
  EXPECT_EQ(m.state().segment(Seg::GS).base, 0x8888u);
  EXPECT_EQ(m.state().segment(Seg::CS).attributes & 0xffff, 0xa09bu);
  EXPECT_EQ(m.state().tr.limit, 0x67u);
  EXPECT_EQ(m.vmcs().read(Field::GuestGsBase), 0x7777u);
}

TEST(VmxExit, OfAMoveToCr3TellsTheRegister) {
  VmxMachine m;
  m.prepare({0x0f, 0x22, 0xda});  // mov cr3, rdx
  m.add(Field::PrimaryControls, primary::cr3_load);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 28u);
  EXPECT_EQ(qualification(m), 3u | 2u << 8);
}

TEST(VmxExit, OfAMoveToCr3IsNotForTargets) {
  VmxMachine m;
  m.prepare({0x0f, 0x22, 0xda, 0x0f, 0xa2});
  m.add(Field::PrimaryControls, primary::cr3_load);
  m.set(Field::Cr3TargetCount, 1);
  m.set(Field::Cr3Target0, m.state().cr3);
  m.state().gpr[RDX] = m.state().cr3;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u);
}

TEST(VmxExit, MasksDecideWhoOwnsABitOfCr0) {
  VmxMachine m;
  m.prepare({0x0f, 0x20, 0xc0, 0x0f, 0xa2});  // mov rax, cr0; cpuid
  m.set(Field::Cr0Mask, cr0::TS | cr0::EM);
  m.set(Field::Cr0Shadow, cr0::EM);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u);
  EXPECT_NE(m.state().gpr[RAX] & cr0::EM, 0u);
}

TEST(VmxExit, OfIoTellsPortAndDirection) {
  VmxMachine m;
  m.prepare({0xe4, 0x60});  // in al, 60h
  m.add(Field::PrimaryControls, primary::unconditional_io);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 30u);
  EXPECT_EQ(qualification(m), 0x60u << 16 | 1u << 6 | 1u << 3);
}

TEST(VmxExit, OfIoIsByTheBitmap) {
  VmxMachine m;
  m.prepare({0xe4, 0x60, 0xe4, 0x61});
  m.add(Field::PrimaryControls, primary::io_bitmaps);
  m.set(Field::IoBitmapA, VmxMachine::bitmap_page);
  m.set(Field::IoBitmapB, VmxMachine::bitmap_page + page_size);
  m.poke<u8>(VmxMachine::bitmap_page + 0x61 / 8, 2);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 30u);
  EXPECT_EQ(qualification(m) >> 16, 0x61u);
}

TEST(VmxExit, OfMsrsIsByTheBitmap) {
  VmxMachine m;
  m.prepare({0x0f, 0x32, 0x0f, 0x30});  // rdmsr; wrmsr
  m.add(Field::PrimaryControls, primary::msr_bitmaps);
  m.set(Field::MsrBitmaps, VmxMachine::bitmap_page);
  m.poke<u8>(VmxMachine::bitmap_page + 3072 + 0x81 / 8, 2);
  m.state().gpr[RCX] = 0xc000'0081;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 32u);
}

TEST(VmxExit, OfAnExceptionTellsVectorAndCode) {
  VmxMachine m;
  m.prepare({0x0f, 0x0b});  // ud2
  m.set(Field::ExceptionBitmap, 1u << 6);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 0u);
  EXPECT_EQ(m.vmcs().read(Field::ExitInterruption), interruption::valid | 3u << 8 | 6u);
}

TEST(VmxExit, OfAPageFaultIsByMaskAndMatch) {
  VmxMachine m;
  m.prepare({0x48, 0x8b, 0x00});  // mov rax, [rax]
  m.set(Field::ExceptionBitmap, 1u << 14);
  m.state().gpr[RAX] = u64{1} << 40;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 0u);
  EXPECT_EQ(qualification(m), u64{1} << 40);
  EXPECT_EQ(m.vmcs().read(Field::ExitInterruption) & 0xfff, 14u | 3u << 8 | interruption::error_code);
  EXPECT_EQ(m.state().cr2, 0u) << "the exit comes before CR2 is written";
}

TEST(VmxExit, OfATripleFault) {
  VmxMachine m;
  m.prepare({0x0f, 0x0b});
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 2u);
}

TEST(VmxExit, OfTheMonitorTrapFlagComesBehindOneInstruction) {
  VmxMachine m;
  m.prepare({0x90, 0x90, 0x0f, 0xa2});
  m.add(Field::PrimaryControls, primary::monitor_trap_flag);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 37u);
  EXPECT_EQ(m.vmcs().read(Field::GuestRip), VmxMachine::guest_code + 1);
}

TEST(VmxExit, OfThePreemptionTimerComesInTime) {
  VmxMachine m;
  m.prepare({0xeb, 0xfe});  // jmp self
  m.add(Field::PinControls, pin::preemption_timer);
  m.set(Field::PreemptionTimerValue, 10);
  m.vmlaunch();
  const u64 start = m.processor.cycles();
  m.processor.run(start + 100'000);
  EXPECT_EQ(m.exit_reason(), 52u);
  EXPECT_FALSE(m.in_guest());
}

TEST(VmxExit, OfTheInterruptWindowWaitsForIf) {
  VmxMachine m;
  m.prepare({0x90, 0xfb, 0x90, 0x90});  // nop; sti; nop
  m.add(Field::PrimaryControls, primary::interrupt_window);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 7u);
  EXPECT_EQ(m.vmcs().read(Field::GuestRip), VmxMachine::guest_code + 3) << "behind STI's shadow";
}

TEST(VmxExit, OfAnNmi) {
  VmxMachine m;
  m.prepare({0xeb, 0xfe});
  m.add(Field::PinControls, pin::nmi);
  m.vmlaunch();
  m.state().nmi_pending = true;
  m.steps(2);
  EXPECT_EQ(m.exit_reason(), 0u);
  EXPECT_EQ(m.vmcs().read(Field::ExitInterruption), interruption::valid | 2u << 8 | 2u);
  EXPECT_TRUE(m.state().nmi_blocked);
}

TEST(VmxExit, OfAVmxInstructionTellsItsOperand) {
  VmxMachine m;
  // vmptrld [rbx + rcx * 4 + 10h]
  m.prepare({0x0f, 0xc7, 0x74, 0x8b, 0x10});
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 21u);
  EXPECT_EQ(qualification(m), 0x10u);
  const u32 ds = 3, rcx = 1, rbx = 3, scale4 = 2, address64 = 2;
  EXPECT_EQ(m.vmcs().read(Field::ExitInstructionInformation),
            scale4 | address64 << 7 | ds << 15 | rcx << 18 | rbx << 23);
}

TEST(VmxExit, OfVmreadTellsBothRegisters) {
  VmxMachine m;
  m.prepare({0x0f, 0x78, 0xd6});  // vmread rsi, rdx
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 23u);
  EXPECT_EQ(m.vmcs().read(Field::ExitInstructionInformation) & 0xf000'0478, 6u << 3 | 1u << 10 | 2u << 28);
}

TEST(VmxExit, OfDescriptorTablesTellsWhich) {
  VmxMachine m;
  m.prepare({0x0f, 0x01, 0x1b});  // lidt [rbx]
  m.activate_secondary(secondary::descriptor_tables);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 46u);
  EXPECT_EQ(m.vmcs().read(Field::ExitInstructionInformation) >> 28 & 3, 3u);
}

/// An interrupt gate for `vector` at 0x72000, code there halts.
void add_gate(VmxMachine& m, u8 vector) {
  constexpr u64 table = 0x70000;
  m.poke<u64>(table + vector * 16u, 0x0007'8e00'0008'2000);
  m.poke<u64>(table + vector * 16u + 8, 0);
  m.write(0x72000, {0x0f, 0xa2});
  m.set(Field::GuestIdtrBase, table);
  m.set(Field::GuestIdtrLimit, 0xfff);
  constexpr u64 gdt = 0x71000;
  m.poke<u64>(gdt + 8, 0x00af'9b00'0000'ffff);
  m.poke<u64>(gdt + 16, 0x00cf'9300'0000'ffff);
  m.set(Field::GuestGdtrBase, gdt);
  m.set(Field::GuestGdtrLimit, 0x1f);
}

TEST(VmxExit, AnInjectedEventIsDeliveredFirst) {
  VmxMachine m;
  m.prepare({0x90});
  add_gate(m, 0x40);
  m.add(Field::GuestRflags, rflags::IF);
  m.set(Field::EntryInterruption, interruption::valid | 0x40);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u);
  EXPECT_EQ(m.vmcs().read(Field::GuestRip), 0x72000u);
  EXPECT_EQ(m.vmcs().read(Field::EntryInterruption) & interruption::valid, 0u);
}

TEST(VmxExit, DuringADeliveryTellsWhatWasDelivered) {
  VmxMachine m;
  m.prepare({0x90});
  m.set(Field::EntryInterruption, interruption::valid | 3u << 8 | interruption::error_code | 13u);
  m.set(Field::EntryErrorCode, 0x18);
  m.set(Field::GuestIdtrLimit, 0);
  m.set(Field::ExceptionBitmap, ~u64{0});
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 0u);
  EXPECT_EQ(m.vmcs().read(Field::IdtVectoring), interruption::valid | 3u << 8 | interruption::error_code | 13u);
  EXPECT_EQ(m.vmcs().read(Field::IdtVectoringErrorCode), 0x18u);
}

/// EPT that maps the first 16 MiB, but for one page, one to one.
void map_ept(VmxMachine& m, u64 hole, u64 hole_entry) {
  constexpr u64 root = VmxMachine::ept_root;
  m.poke<u64>(root, (root + 0x1000) | 7);
  m.poke<u64>(root + 0x1000, (root + 0x2000) | 7);
  for (u64 i = 0; i < 8; ++i) m.poke<u64>(root + 0x2000 + i * 8, i << 21 | 0xb7);
  m.poke<u64>(root + 0x2000, (root + 0x3000) | 7);
  for (u64 i = 0; i < 512; ++i) m.poke<u64>(root + 0x3000 + i * 8, i << 12 | 0x37);
  m.poke<u64>(root + 0x3000 + hole / page_size * 8, hole_entry);
  m.activate_secondary(secondary::ept);
  m.set(Field::EptPointer, root | 3 << 3 | 6);
}

TEST(VmxExit, OfAnEptViolationTellsAccessAndAddresses) {
  VmxMachine m;
  m.prepare({0x48, 0x89, 0x00});  // mov [rax], rax
  map_ept(m, 0x90000, 0x90000 | 0x31);
  m.state().gpr[RAX] = 0x90018;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 48u);
  EXPECT_EQ(qualification(m), 2u | 1u << 3 | 1u << 7 | 1u << 8);
  EXPECT_EQ(m.vmcs().read(Field::GuestPhysicalAddress), 0x90018u);
  EXPECT_EQ(m.vmcs().read(Field::GuestLinearAddress), 0x90018u);
}

TEST(VmxExit, OfAnEptMisconfiguration) {
  VmxMachine m;
  m.prepare({0x48, 0x89, 0x00});
  map_ept(m, 0x90000, 0x90000 | 2);
  m.state().gpr[RAX] = 0x90000;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 49u);
}

TEST(VmxExit, PageModificationsAreLoggedUntilTheLogIsFull) {
  VmxMachine m;
  m.prepare({0x48, 0x89, 0x00, 0x0f, 0xa2});
  map_ept(m, 0x90000, 0x90000 | 0x37);
  m.add(Field::EptPointer, eptp::accessed_dirty);
  m.activate_secondary(secondary::pml);
  m.set(Field::PmlAddress, VmxMachine::bitmap_page);
  m.set(Field::PmlIndex, 511);
  m.state().gpr[RAX] = 0x90018;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u);
  bool logged = false;
  for (unsigned i = 0; i < 512; ++i) logged = logged || m.peek<u64>(VmxMachine::bitmap_page + i * 8) == 0x90000;
  EXPECT_TRUE(logged);
  EXPECT_LT(m.vmcs().read(Field::PmlIndex), 511u);
  m.set(Field::PmlIndex, 0xffff);
  m.set(Field::GuestRip, VmxMachine::guest_code);
  m.poke<u64>(VmxMachine::ept_root + 0x3000 + 0x90 * 8, 0x90000 | 0x37);
  m.run_host({0x66, 0x0f, 0x38, 0x80, 0x0b});
  m.state().gpr[RAX] = 0x90018;
  m.vmresume();
  for (unsigned i = 0; i < 10 && m.in_guest(); ++i) m.steps(1);
  EXPECT_EQ(m.exit_reason(), 62u);
}

/// Pages of user-mode addresses, as all of the fixture's are, need bit 10 to be executed, whoever executes them.
TEST(VmxExit, ModeBasedExecuteControlAsksForTheUsersRight) {
  for (const bool user_right : {false, true}) {
    VmxMachine m;
    m.prepare();
    constexpr u64 user_executable = 0x400;
    const u64 page = VmxMachine::guest_code;
    map_ept(m, page, page | 0x37 | (user_right ? user_executable : 0));
    for (const u64 table : {0u, 0x1000u, 0x2000u}) {
      const u64 at = VmxMachine::ept_root + table;
      m.poke<u64>(at, m.peek<u64>(at) | user_executable);
    }
    m.activate_secondary(secondary::mode_based_execute);
    m.launch_until_exit();
    EXPECT_EQ(m.exit_reason(), user_right ? 10u : 48u);
    constexpr u64 fetch = 4, readable_writable_executable = 7 << 3, linear = 3 << 7;
    if (!user_right) {
      EXPECT_EQ(qualification(m), fetch | readable_writable_executable | linear);
    }
  }
}

TEST(VmxExit, OfTheMonitorTrapFlagComesBehindAnInjectedEvent) {
  VmxMachine m;
  m.prepare({0x90});
  add_gate(m, 0x40);
  m.add(Field::GuestRflags, rflags::IF);
  m.add(Field::PrimaryControls, primary::monitor_trap_flag);
  m.set(Field::EntryInterruption, interruption::valid | 0x40);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 37u);
  EXPECT_EQ(m.vmcs().read(Field::GuestRip), 0x72000u);
}

TEST(VmxExit, BehindMovSsKeepsTheStepPending) {
  VmxMachine m;
  m.prepare({0x8e, 0xd0, 0x0f, 0xa2});  // mov ss, eax; cpuid
  add_gate(m, 1);
  m.state().gpr[RAX] = 0x10;
  m.add(Field::GuestRflags, rflags::TF);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u);
  EXPECT_EQ(m.vmcs().read(Field::GuestInterruptibility), interruptibility::mov_ss);
  EXPECT_EQ(m.vmcs().read(Field::GuestPendingDebug), dr6::BS);
}

TEST(VmxExit, TprBelowThresholdComesBehindTheWrite) {
  VmxMachine m;
  m.prepare({0x44, 0x0f, 0x22, 0xc0, 0x90});  // mov cr8, rax
  m.add(Field::PrimaryControls, primary::tpr_shadow);
  m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
  m.poke<u32>(VmxMachine::virtual_apic + 0x80, 0x50);
  m.set(Field::TprThreshold, 4);
  m.state().gpr[RAX] = 3;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 43u);
  EXPECT_EQ(m.vmcs().read(Field::GuestRip), VmxMachine::guest_code + 4);
  EXPECT_EQ(m.peek<u32>(VmxMachine::virtual_apic + 0x80), 0x30u);
}

TEST(VmxExit, ApicAccessTellsOffsetAndKind) {
  VmxMachine m;
  m.prepare({0x89, 0x00});  // mov [rax], eax
  m.add(Field::PrimaryControls, primary::tpr_shadow);
  m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
  m.activate_secondary(secondary::apic_accesses);
  m.set(Field::ApicAccessAddress, 0x90000);
  m.state().gpr[RAX] = 0x90300;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 44u);
  EXPECT_EQ(qualification(m), 0x300u | 1u << 12);
}

TEST(VmxExit, AVirtualInterruptIsDeliveredWithoutOne) {
  VmxMachine m;
  m.prepare({0xeb, 0xfe});
  add_gate(m, 0x51);
  m.add(Field::GuestRflags, rflags::IF);
  m.add(Field::PinControls, pin::external_interrupt);
  m.add(Field::PrimaryControls, primary::tpr_shadow);
  m.set(Field::VirtualApicAddress, VmxMachine::virtual_apic);
  m.activate_secondary(secondary::interrupt_delivery);
  m.set(Field::GuestInterruptStatus, 0x51);
  m.poke<u32>(VmxMachine::virtual_apic + 0x200 + 0x20, 1u << 17);
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u) << "the handler's CPUID";
  EXPECT_EQ(m.vmcs().read(Field::GuestInterruptStatus), 0x5100u);
  EXPECT_EQ(m.peek<u32>(VmxMachine::virtual_apic + 0x100 + 0x20), 1u << 17);
}

TEST(VmxExit, TheTscIsOffset) {
  VmxMachine m;
  m.prepare({0x0f, 0x31, 0x0f, 0xa2});
  m.add(Field::PrimaryControls, primary::tsc_offsetting);
  m.set(Field::TscOffset, u64{5} << 32);
  m.launch_until_exit();
  EXPECT_EQ(m.state().gpr[RDX], 5u);
}

TEST(VmxExit, ShadowedFieldsAreReadWithoutOne) {
  VmxMachine m;
  m.prepare({0x0f, 0x78, 0xc1, 0x0f, 0xa2});  // vmread rcx, rax
  constexpr u64 shadow = 0x55000;
  m.poke<u32>(shadow, m.vmx().capabilities().revision() | shadow_indicator);
  Vmcs(m.cpu(), shadow).write(Field::GuestRsp, 0x4321);
  m.activate_secondary(secondary::shadow_vmcs);
  m.set(Field::VmcsLinkPointer, shadow);
  m.set(Field::VmreadBitmap, VmxMachine::bitmap_page);
  m.set(Field::VmwriteBitmap, VmxMachine::bitmap_page);
  m.state().gpr[RAX] = 0x681c;
  m.launch_until_exit();
  EXPECT_EQ(m.exit_reason(), 10u);
  EXPECT_EQ(m.state().gpr[RCX], 0x4321u);
}

TEST(VmxExit, MsrsAreStoredAndLoaded) {
  VmxMachine m;
  m.prepare();
  for (const u64 at : {VmxMachine::msr_area, VmxMachine::msr_area + 0x100}) m.poke<u64>(at, 0xc000'0081);
  m.poke<u64>(VmxMachine::msr_area + 0x108, 0x77);
  m.state().msr.star = 0x66;
  m.set(Field::ExitMsrStoreCount, 1);
  m.set(Field::ExitMsrStoreAddress, VmxMachine::msr_area);
  m.set(Field::ExitMsrLoadCount, 1);
  m.set(Field::ExitMsrLoadAddress, VmxMachine::msr_area + 0x100);
  m.launch_until_exit();
  EXPECT_EQ(m.peek<u64>(VmxMachine::msr_area + 8), 0x66u);
  EXPECT_EQ(m.state().msr.star, 0x77u);
}

TEST(VmxExit, AnMsrThatCannotBeLoadedAborts) {
  VmxMachine m;
  m.prepare();
  m.poke<u64>(VmxMachine::msr_area, 0xc000'0100);
  m.set(Field::ExitMsrLoadCount, 1);
  m.set(Field::ExitMsrLoadAddress, VmxMachine::msr_area);
  m.launch_until_exit();
  EXPECT_EQ(m.state().activity, Activity::Shutdown);
  EXPECT_EQ(m.peek<u32>(VmxMachine::vmcs_region + abort_offset), 4u);
}

}  // namespace
}  // namespace bunshin::vmx
