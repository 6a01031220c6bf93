// Event delivery in every mode (SDM vol. 3, ch. 6 and 20).

#include "core/events/debug.h"
#include "events_fixture.h"

namespace bunshin {
namespace {

constexpr u32 interrupt32 = 0xe, trap32 = 0xf, interrupt16 = 6, task_gate = 5;

TEST(RealModeDelivery, PushesFlagsCsIpAndClearsIf) {
  EventMachine m;
  CpuState& s = m.cpu.state;
  s.idtr = {0, 0x3ff};
  m.poke32(8 * 4, 0x0f00'0123);
  for (Segment& segment : s.seg) segment.limit = 0xffff;
  load_8086_segment(s, Seg::CS, 0x100);
  load_8086_segment(s, Seg::SS, 0x200);
  s.gpr[RSP] = 0x100;
  s.rip = 0x55;
  s.flags.set_value(rflags::IF | rflags::TF | rflags::CF | 2);
  deliver_interrupt(m.cpu, 8, EventKind::External);
  EXPECT_EQ(s.rip, 0x123u);
  EXPECT_EQ(m.selector(Seg::CS), 0xf00);
  EXPECT_EQ(s.gpr[RSP], 0xfau);
  EXPECT_EQ(m.peek<u16>(0x20fa), 0x55);
  EXPECT_EQ(m.peek<u16>(0x20fc), 0x100);
  EXPECT_EQ(m.peek<u16>(0x20fe), 0x303);
  EXPECT_EQ(s.flags.value() & (rflags::IF | rflags::TF), 0u);
}

TEST(RealModeDelivery, AnEmptyTableIsATripleFault) {
  EventMachine m;
  m.cpu.state.idtr = {0, 0};
  deliver_exception(m.cpu, Fault::plain(Vector::UD));
  EXPECT_EQ(m.cpu.state.activity, Activity::Shutdown);
}

TEST(ProtectedDelivery, SameLevelPushesTheErrorCodeAndSetsRf) {
  EventMachine m;
  m.enter_protected();
  m.set_gate(13, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  m.cpu.state.flags.system |= rflags::IF | rflags::NT;
  deliver_exception(m.cpu, Fault::with_code(Vector::GP, 0x1230));
  EXPECT_EQ(m.cpu.state.rip, m.handler);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 16);
  EXPECT_EQ(m.stacked(0), 0x1230u);
  EXPECT_EQ(m.stacked(1), 0x1000u);
  EXPECT_EQ(m.stacked(2), m.kernel_code);
  EXPECT_EQ(m.stacked(3), 2 | rflags::IF | rflags::NT | rflags::RF);
  EXPECT_EQ(m.cpu.state.flags.system & (rflags::IF | rflags::NT | rflags::RF), 0u);
}

TEST(ProtectedDelivery, TrapGatesLeaveIfAlone) {
  EventMachine m;
  m.enter_protected();
  m.set_gate(32, make_gate(m.kernel_code, m.handler, trap32, 0));
  m.cpu.state.flags.system |= rflags::IF;
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_NE(m.cpu.state.flags.system & rflags::IF, 0u);
}

TEST(ProtectedDelivery, InnerLevelTakesItsStackFromTheTss) {
  EventMachine m;
  m.enter_protected(3);
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_EQ(m.cpu.state.cpl, 0);
  EXPECT_EQ(m.selector(Seg::SS), m.kernel_data);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 20);
  EXPECT_EQ(m.stacked(0), 0x1000u);
  EXPECT_EQ(m.stacked(1), m.user_code);
  EXPECT_EQ(m.stacked(3), m.user_stack);
  EXPECT_EQ(m.stacked(4), m.user_data);
}

TEST(ProtectedDelivery, SixteenBitGatesPushWords) {
  EventMachine m;
  m.enter_protected();
  m.set_gate(32, make_gate(m.kernel_code, 0xabcd'6000, interrupt16, 0));
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_EQ(m.cpu.state.rip, 0x6000u);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 6);
}

TEST(ProtectedDelivery, SoftwareNeedsTheGatesPrivilegeAndFaultsWithoutExt) {
  EventMachine m;
  m.enter_protected(3);
  m.set_gate(0x80, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 0x80, EventKind::SoftwareInterrupt), Vector::GP,
                 0x80 * 8 + 2);
  m.set_gate(0x80, make_gate(m.kernel_code, m.handler, interrupt32, 3));
  m.cpu.state.rip = 0x1002;
  ASSERT_TRUE(software_interrupt(m.cpu, {.length = 2}, 0x80, EventKind::SoftwareInterrupt));
  EXPECT_EQ(m.stacked(0), 0x1002u);
}

TEST(ProtectedDelivery, Int1IgnoresTheGatesPrivilege) {
  EventMachine m;
  m.enter_protected(3);
  m.set_gate(1, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  EXPECT_TRUE(software_interrupt(m.cpu, {.length = 2}, 1, EventKind::PrivilegedSoftwareException));
}

TEST(ProtectedDelivery, AnExternalInterruptsFaultCarriesExt) {
  EventMachine m;
  m.enter_protected();
  m.set_gate(11, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 0, 0, false));
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_EQ(m.stacked(0), 32u * 8 + 3);
}

TEST(ProtectedDelivery, BadInnerStackIsInvalidTss) {
  EventMachine m;
  m.enter_protected(3);
  m.poke32(m.tss + 8, m.user_data);
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 3));
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::TS,
                 m.user_data & 0xfffc);
  m.cpu.state.tr.limit = 8;
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::TS, m.task);
}

TEST(ProtectedDelivery, AFailedDeliveryLeavesRegistersAlone) {
  EventMachine m;
  m.enter_protected(3);
  m.set_descriptor(m.spare, make_descriptor(0, 0x10, 0x4093));  // too small a stack
  m.poke32(m.tss + 8, m.spare);
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 3));
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::SS, m.spare);
  EXPECT_EQ(m.get(RSP), m.user_stack);
  EXPECT_EQ(m.cpu.state.cpl, 3);
  EXPECT_EQ(m.selector(Seg::CS), m.user_code);
}

TEST(Virtual8086Delivery, SavesAndClearsTheDataSegments) {
  EventMachine m;
  m.enter_v86(3);
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_FALSE(m.cpu.state.v86());
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 36);
  EXPECT_NE(m.stacked(2) & rflags::VM, 0u);
  EXPECT_EQ(m.stacked(5), 0x100u);  // ES
  EXPECT_EQ(m.stacked(8), 0x600u);  // GS
  EXPECT_TRUE(m.cpu.state.segment(Seg::DS).is_null());
}

TEST(Virtual8086Delivery, RefusesHandlersBelowLevelZero) {
  EventMachine m;
  m.enter_v86(3);
  m.set_gate(32, make_gate(m.user_code, m.handler, interrupt32, 3));
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::GP,
                 m.user_code & 0xfffc);
}

TEST(Virtual8086Delivery, IntNeedsIoplThree) {
  EventMachine m;
  m.enter_v86(0);
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 3));
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::GP, 0);
}

TEST(Virtual8086Delivery, VmeRedirectsToTheProgramAndShowsVif) {
  EventMachine m;
  m.enter_v86(0);
  CpuState& s = m.cpu.state;
  s.cr4 |= cr4::VME;
  s.tr.limit = 0x200;
  m.poke16(m.tss + 0x66, 0x100);
  m.poke32(0x21 * 4, 0x0400'0010);
  s.flags.system |= rflags::VIF | rflags::IF;
  m.cpu.state.rip = 0x12;
  ASSERT_TRUE(software_interrupt(m.cpu, {.length = 2}, 0x21, EventKind::SoftwareInterrupt));
  EXPECT_TRUE(s.v86());
  EXPECT_EQ(m.selector(Seg::CS), 0x400);
  EXPECT_EQ(s.rip, 0x10u);
  EXPECT_EQ(m.peek<u16>(0x3000 + 0x7fe), (rflags::IF | rflags::IOPL | 2));
  EXPECT_EQ(s.flags.system & rflags::VIF, 0u);
  EXPECT_NE(s.flags.system & rflags::IF, 0u);
}

TEST(LongModeDelivery, AlignsTheStackAndPushesFiveWords) {
  EventMachine m;
  m.enter_long(0);
  m.set_gate64(32, m.kernel_code, 0xffff8000'00006000, interrupt32, 0);
  m.set(RSP, m.kernel_stack - 3);
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_EQ(m.cpu.state.rip, 0xffff8000'00006000u);
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 16 - 40);
  EXPECT_EQ(m.stacked64(0), 0x1000u);
  EXPECT_EQ(m.stacked64(3), m.kernel_stack - 3);
  EXPECT_EQ(m.stacked64(4), m.kernel_data);
  EXPECT_EQ(m.selector(Seg::SS), m.kernel_data);
}

TEST(LongModeDelivery, ALevelChangeLoadsRspAndANullStackSegment) {
  EventMachine m;
  m.enter_long(3);
  m.set_gate64(14, m.kernel_code, m.handler, interrupt32, 0);
  deliver_exception(m.cpu, Fault::page(0x1234'5678, 6));
  EXPECT_EQ(m.get(RSP), m.kernel_stack - 48);
  EXPECT_EQ(m.stacked64(0), 6u);
  EXPECT_EQ(m.stacked64(2), m.user_code);
  EXPECT_EQ(m.stacked64(4), m.user_stack);
  EXPECT_EQ(m.stacked64(5), m.user_data);
  EXPECT_EQ(m.selector(Seg::SS), 0);
  EXPECT_TRUE(m.cpu.state.segment(Seg::SS).is_null());
  EXPECT_EQ(m.cpu.state.cr2, 0x1234'5678u);
  EXPECT_EQ(m.cpu.mode.cpl, 0);
}

TEST(LongModeDelivery, IstIsUsedWithoutALevelChangeToo) {
  EventMachine m;
  m.enter_long(0);
  m.poke(m.tss + 0x24 + 8, 0xa000);
  m.set_gate64(2, m.kernel_code, m.handler, interrupt32, 0, 2);
  deliver_interrupt(m.cpu, 2, EventKind::Nmi);
  EXPECT_EQ(m.get(RSP), 0xa000u - 40);
  EXPECT_TRUE(m.cpu.state.nmi_blocked);
}

TEST(LongModeDelivery, HandlersMustBe64BitCode) {
  EventMachine m;
  m.enter_long(0);
  m.set_descriptor(m.spare, make_descriptor(0, 0xfffff, kind::code32));
  m.set_gate64(32, m.spare, m.handler, interrupt32, 0);
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::GP, m.spare);
}

TEST(LongModeDelivery, ANonCanonicalHandlerIsAGeneralProtection) {
  EventMachine m;
  m.enter_long(0);
  m.set_gate64(32, m.kernel_code, 0x8000'0000'0000, interrupt32, 0);
  m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::GP, 0);
}

TEST(LongModeDelivery, OldGateTypesDoNotExist) {
  EventMachine m;
  m.enter_long(0);
  for (const u32 type : {interrupt16, task_gate, 0xcu, 0x1eu}) {
    m.set_gate64(32, m.kernel_code, m.handler, type, 0);
    m.expect_fault(software_interrupt(m.cpu, {.length = 2}, 32, EventKind::SoftwareInterrupt), Vector::GP, 32 * 8 + 2);
  }
}

/// SDM vol. 3, table 6-5: what the second fault makes of the first. The first's gate is made to fault.
struct Combination {
  Fault first;
  bool second_is_page_fault;
  Vector delivered;
};

class DoubleFaultTable : public ::testing::TestWithParam<Combination> {};

TEST_P(DoubleFaultTable, Delivers) {
  EventMachine m;
  m.enter_protected();
  const Combination c = GetParam();
  for (const u8 vector : {8, 11, 13, 14}) m.set_gate(vector, make_gate(m.kernel_code, m.handler + vector, trap32, 0));
  const u8 first = static_cast<u8>(c.first.vector);
  if (c.second_is_page_fault) {
    // The handler's code descriptor lies in a page that is not mapped.
    m.cpu.state.gdtr.limit = 0xffff;
    m.cpu.state.cr0 |= cr0::PG;
    m.cpu.state.cr3 = 0x20000;
    m.poke32(0x20000, 0x21007);
    for (u32 page = 0; page < 1024; ++page) m.poke32(0x21000 + page * 4, page == 3 + 8 ? 0 : page << 12 | 7);
    m.set_gate(first, make_gate(static_cast<u16>(0xb000 - m.gdt), m.handler, trap32, 0));
    m.cpu.update_mode();
  } else {
    m.set_gate(first, make_gate(m.kernel_code, m.handler, trap32, 0, 0, false));  // #NP
  }
  deliver_exception(m.cpu, c.first);
  EXPECT_EQ(m.cpu.state.activity, Activity::Active);
  EXPECT_EQ(m.cpu.state.rip, m.handler + static_cast<u64>(c.delivered));
  EXPECT_EQ(m.stacked(1), 0x1000u);
}

INSTANTIATE_TEST_SUITE_P(Table6_5, DoubleFaultTable,
                         ::testing::Values(Combination{Fault::plain(Vector::UD), false, Vector::NP},
                                           Combination{Fault::plain(Vector::UD), true, Vector::PF},
                                           Combination{Fault::plain(Vector::DE), false, Vector::DF},
                                           Combination{Fault::plain(Vector::DE), true, Vector::PF},
                                           Combination{Fault::with_code(Vector::SS, 0), false, Vector::DF},
                                           Combination{Fault::page(0x5000, 0), false, Vector::DF},
                                           Combination{Fault::page(0x5000, 0), true, Vector::DF}));

TEST(DoubleFault, ItsOwnFaultIsShutdown) {
  EventMachine m;
  m.enter_protected();
  deliver_exception(m.cpu, Fault::with_code(Vector::GP, 0));
  EXPECT_EQ(m.cpu.state.activity, Activity::Shutdown);
  EXPECT_EQ(m.cpu.state.rip, 0x1000u);
}

TEST(Delivery, EndsHaltAndShadows) {
  EventMachine m;
  m.enter_protected();
  m.set_gate(32, make_gate(m.kernel_code, m.handler, interrupt32, 0));
  m.cpu.state.activity = Activity::Halted;
  m.cpu.state.interrupt_shadow = true;
  deliver_interrupt(m.cpu, 32, EventKind::External);
  EXPECT_EQ(m.cpu.state.activity, Activity::Active);
  EXPECT_FALSE(m.cpu.state.interrupt_shadow);
}

}  // namespace
}  // namespace bunshin
