#include <gtest/gtest.h>

#include "tests/devices/apic_system.h"

namespace bunshin {
namespace {

using Reg = LocalApic;

constexpr u64 enable_bit = 1 << 11, x2apic_bit = 1 << 10, bootstrap_bit = 1 << 8, default_base = 0xfee00000;

class LocalApicTest : public ::testing::Test, protected test::ApicSystem {};

TEST_F(LocalApicTest, PowerUpState) {
  EXPECT_EQ(apic().base_msr(), default_base | enable_bit | bootstrap_bit);
  EXPECT_EQ(apic(1).base_msr(), default_base | enable_bit);
  EXPECT_EQ(get(Reg::id_register, 3), 3u << 24);
  EXPECT_EQ(get(Reg::version_register), 0x01050014u);
  EXPECT_EQ(get(Reg::svr_register), 0xffu);
  EXPECT_EQ(get(Reg::dfr_register), 0xffffffffu);
  EXPECT_EQ(get(Reg::lvt_timer_register), 0x10000u);
}

TEST_F(LocalApicTest, IdWritesAreIgnored) {
  put(Reg::id_register, 9u << 24);
  EXPECT_EQ(get(Reg::id_register), 0u);
}

TEST_F(LocalApicTest, OnlyAlignedDwordWritesCount) {
  apic().write(0, Reg::tpr_register, 1, 0x20);
  apic().write(0, Reg::tpr_register, 8, 0x20);
  apic().write(0, Reg::tpr_register + 4, 4, 0x20);
  EXPECT_EQ(get(Reg::tpr_register), 0u);
  put(Reg::tpr_register, 0x20);
  EXPECT_EQ(apic().read(0, Reg::tpr_register, 1), 0x20u);
}

TEST_F(LocalApicTest, BaseMsrTransitions) {
  const u64 off = default_base | bootstrap_bit;
  LocalApic& a = apic();
  EXPECT_FALSE(a.set_base_msr(off | x2apic_bit));
  EXPECT_TRUE(a.set_base_msr(off | enable_bit | x2apic_bit));
  EXPECT_FALSE(a.mmio_enabled());
  EXPECT_FALSE(a.set_base_msr(off | x2apic_bit));
  EXPECT_FALSE(a.set_base_msr(off | enable_bit));
  EXPECT_TRUE(a.set_base_msr(off));
  EXPECT_FALSE(a.set_base_msr(off | x2apic_bit));
  EXPECT_FALSE(a.set_base_msr(off | enable_bit | x2apic_bit));
  EXPECT_TRUE(a.set_base_msr(off | enable_bit));
  EXPECT_TRUE(a.mmio_enabled());
}

TEST_F(LocalApicTest, BaseMsrReservedBitsFaultAndAddressMoves) {
  EXPECT_FALSE(apic().set_base_msr(apic().base_msr() | 1));
  EXPECT_FALSE(apic().set_base_msr(apic().base_msr() | u64{1} << 52));
  EXPECT_TRUE(apic().set_base_msr(0xfed40000 | bootstrap_bit | enable_bit));
  EXPECT_EQ(apic().mmio_base(), 0xfed40000u);
}

TEST_F(LocalApicTest, DisablingResetsAndReadsAllOnes) {
  enable();
  put(Reg::lvt_timer_register, 0x30);
  apic().set_base_msr(default_base);
  EXPECT_EQ(get(Reg::version_register), 0xffffffffu);
  apic().set_task_priority_class(5);
  EXPECT_EQ(apic().task_priority_class(), 5);
  apic().set_task_priority_class(0);
  apic().set_base_msr(default_base | enable_bit);
  EXPECT_EQ(get(Reg::lvt_timer_register), 0x10000u);
  EXPECT_EQ(get(Reg::svr_register), 0xffu);
}

TEST_F(LocalApicTest, SelfIpiIsAcknowledgedAndEnded) {
  enable();
  icr(0x400f1);
  EXPECT_TRUE(apic().interrupt_pending());
  EXPECT_EQ(pins[0].changes, 1u);
  EXPECT_EQ(apic().acknowledge(), 0xf1);
  EXPECT_FALSE(apic().interrupt_pending());
  EXPECT_EQ(get(Reg::ppr_register), 0xf0u);
  put(Reg::eoi_register, 0);
  EXPECT_EQ(get(Reg::ppr_register), 0u);
}

TEST_F(LocalApicTest, HigherPriorityPreemptsAndEqualClassWaits) {
  enable();
  icr(0x40000 | 0x51);
  EXPECT_EQ(apic().acknowledge(), 0x51);
  icr(0x40000 | 0x5f);
  EXPECT_FALSE(apic().interrupt_pending());
  icr(0x40000 | 0x61);
  EXPECT_EQ(apic().acknowledge(), 0x61);
  put(Reg::eoi_register, 0);
  EXPECT_FALSE(apic().interrupt_pending());
  put(Reg::eoi_register, 0);
  EXPECT_EQ(apic().acknowledge(), 0x5f);
}

TEST_F(LocalApicTest, TaskPriorityHoldsBackItsClass) {
  enable();
  apic().set_task_priority_class(5);
  icr(0x40000 | 0x5f);
  EXPECT_FALSE(apic().interrupt_pending());
  EXPECT_EQ(apic().acknowledge(), 0xff);  // spurious
  put(Reg::tpr_register, 0x4f);
  EXPECT_TRUE(apic().interrupt_pending());
  EXPECT_EQ(apic().task_priority_class(), 4);
}

TEST_F(LocalApicTest, TellsWhatTheTaskPriorityAloneHoldsBack) {
  enable();
  EXPECT_EQ(apic().held_back_class(), 0);
  apic().set_task_priority_class(5);
  icr(0x40000 | 0x5f);
  EXPECT_EQ(apic().held_back_class(), 5);
  apic().set_task_priority_class(4);
  EXPECT_EQ(apic().held_back_class(), 0);  // it is pending
  EXPECT_EQ(apic().acknowledge(), 0x5f);
  icr(0x40000 | 0x51);
  apic().set_task_priority_class(6);
  EXPECT_EQ(apic().held_back_class(), 0);  // it waits for the one in service
}

TEST_F(LocalApicTest, SoftwareDisabledTakesNoFixedButNmi) {
  icr(0x00030, 1);
  EXPECT_FALSE(requested(0x30, 1));
  icr(0x00400, 1);
  EXPECT_EQ(pins[1].nmis, 1u);
}

TEST_F(LocalApicTest, SoftwareDisableMasksTheLvt) {
  enable();
  put(0x360, 0x400);
  put(Reg::svr_register, 0xff);
  EXPECT_EQ(get(0x360), 0x10400u);
  put(0x360, 0x400);
  EXPECT_EQ(get(0x360), 0x10400u);
}

TEST_F(LocalApicTest, PhysicalBroadcastAndShorthands) {
  enable_all();
  icr(0x04051, 0xff);
  EXPECT_EQ(who_has(0x51), 0xfu);
  icr(0x84052);
  EXPECT_EQ(who_has(0x52), 0xfu);
  icr(0xc4053);
  EXPECT_EQ(who_has(0x53), 0xeu);
}

TEST_F(LocalApicTest, InitAndStartupReachThePins) {
  icr(0xc4500);
  icr(0xc8500);  // de-assert does nothing
  icr(0x00608, 2);
  EXPECT_EQ(pins[0].inits, 0u);
  EXPECT_EQ(pins[1].inits, 1u);
  EXPECT_EQ(pins[2].startups, std::vector<u8>{0x08});
}

TEST_F(LocalApicTest, LogicalFlatDestination) {
  enable_all();
  for (unsigned i = 0; i < test::processors; ++i) put(Reg::ldr_register, 1u << (24 + i), i);
  icr(0x00860 | 0x800, 0x0a);
  EXPECT_EQ(who_has(0x60), 0xau);
}

TEST_F(LocalApicTest, LogicalClusterDestination) {
  enable_all();
  for (unsigned i = 0; i < test::processors; ++i) {
    put(Reg::dfr_register, 0x0fffffff, i);
    put(Reg::ldr_register, (i / 2 << 4 | 1u << (i % 2)) << 24, i);
  }
  icr(0x00861, 0x13);
  EXPECT_EQ(who_has(0x61), 0xcu);
  icr(0x00862, 0x02);
  EXPECT_EQ(who_has(0x62), 0x2u);
}

TEST_F(LocalApicTest, LowestPriorityGoesToTheLeastBusy) {
  enable_all();
  for (unsigned i = 0; i < test::processors; ++i) {
    put(Reg::ldr_register, 1u << (24 + i), i);
    put(Reg::tpr_register, i == 2 ? 0x10 : 0x80, i);
  }
  icr(0x00970, 0x0f);
  EXPECT_EQ(who_has(0x70), 0x4u);
}

TEST_F(LocalApicTest, IllegalVectorIsAnErrorReadAfterAWrite) {
  enable();
  put(Reg::lvt_error_register, 0xfe);
  icr(0x40005);
  EXPECT_EQ(get(Reg::esr_register), 0u);
  EXPECT_TRUE(requested(0xfe));
  put(Reg::esr_register, 0);
  EXPECT_EQ(get(Reg::esr_register), u32{Reg::send_illegal_vector});
  put(Reg::esr_register, 0);
  EXPECT_EQ(get(Reg::esr_register), 0u);
}

TEST_F(LocalApicTest, IllegalErrorVectorDoesNotRecur) {
  enable();
  put(Reg::lvt_error_register, 0x03);
  get(0x000);
  put(Reg::esr_register, 0);
  EXPECT_EQ(get(Reg::esr_register), u32{Reg::illegal_register | Reg::receive_illegal_vector});
}

TEST_F(LocalApicTest, OneShotTimerFiresOnce) {
  enable();
  put(Reg::divide_register, 0xb);
  put(Reg::lvt_timer_register, 0xee);
  put(Reg::initial_count_register, 1000);
  hosts[0].run_until(apic(), SimTime::from_ns(400));
  EXPECT_EQ(get(Reg::current_count_register), 600u);
  hosts[0].run_until(apic(), SimTime::from_ns(999));
  EXPECT_FALSE(requested(0xee));
  hosts[0].run_until(apic(), SimTime::from_ns(1000));
  EXPECT_TRUE(requested(0xee));
  EXPECT_EQ(get(Reg::current_count_register), 0u);
  EXPECT_EQ(hosts[0].alarm_time(), SimTime::never());
}

TEST_F(LocalApicTest, PeriodicTimerDoesNotDrift) {
  enable();
  put(Reg::divide_register, 0x3);  // by 16
  put(Reg::lvt_timer_register, 0x200ee);
  put(Reg::initial_count_register, 1000);
  unsigned fired = 0;
  for (unsigned step = 1; step <= 100; ++step) {
    hosts[0].run_until(apic(), SimTime::from_ns(16'000ull * step - 1));
    EXPECT_FALSE(requested(0xee));
    hosts[0].run_until(apic(), SimTime::from_ns(16'000ull * step));
    if (apic().interrupt_pending() && apic().acknowledge() == 0xee) ++fired;
    put(Reg::eoi_register, 0);
  }
  EXPECT_EQ(fired, 100u);
}

TEST_F(LocalApicTest, ModeChangeKeepsTheRunningCount) {
  enable();
  put(Reg::divide_register, 0xb);
  put(Reg::lvt_timer_register, 0x100ee);
  put(Reg::initial_count_register, 1000);
  hosts[0].set_now(SimTime::from_ns(600));
  put(Reg::lvt_timer_register, 0x300ee);
  EXPECT_EQ(get(Reg::current_count_register), 400u);
  hosts[0].set_now(SimTime::from_ns(1100));
  EXPECT_EQ(get(Reg::current_count_register), 900u);
  put(Reg::lvt_timer_register, 0x100ee);
  hosts[0].set_now(SimTime::from_ns(5000));
  EXPECT_EQ(get(Reg::current_count_register), 0u);
  put(Reg::lvt_timer_register, 0x300ee);
  EXPECT_EQ(get(Reg::current_count_register), 0u);
}

TEST_F(LocalApicTest, DivideChangeKeepsTheRemainingCount) {
  enable();
  put(Reg::divide_register, 0xb);
  put(Reg::initial_count_register, 1000);
  hosts[0].set_now(SimTime::from_ns(600));
  put(Reg::divide_register, 0x0);
  hosts[0].set_now(SimTime::from_ns(800));
  EXPECT_EQ(get(Reg::current_count_register), 300u);
}

TEST_F(LocalApicTest, TscDeadlineFiresAndDisarms) {
  enable();
  apic().set_tsc_deadline(77, SimTime::from_ns(10));
  EXPECT_EQ(apic().tsc_deadline(), 0u);  // not in this mode
  put(Reg::lvt_timer_register, 0x400ef);
  apic().set_tsc_deadline(77, SimTime::from_ns(10));
  EXPECT_EQ(apic().tsc_deadline(), 77u);
  hosts[0].run_until(apic(), SimTime::from_ns(10));
  EXPECT_EQ(apic().acknowledge(), 0xef);
  EXPECT_EQ(apic().tsc_deadline(), 0u);
  put(Reg::eoi_register, 0);
  apic().set_tsc_deadline(5, SimTime::from_ns(3));  // passed already
  EXPECT_TRUE(apic().interrupt_pending());
}

TEST_F(LocalApicTest, LeavingDeadlineModeDisarms) {
  enable();
  put(Reg::lvt_timer_register, 0x400ef);
  apic().set_tsc_deadline(77, SimTime::from_ns(10));
  put(Reg::lvt_timer_register, 0x000ef);
  hosts[0].run_until(apic(), SimTime::from_ns(100));
  EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(LocalApicTest, LintPinsWhileGloballyDisabledAreIntrAndNmi) {
  apic().set_base_msr(default_base);
  apic().set_input(1, true);
  EXPECT_EQ(pins[0].nmis, 1u);
  apic().set_input(0, true);
  EXPECT_TRUE(apic().interrupt_pending());
  apic().set_input(0, false);
  EXPECT_FALSE(apic().interrupt_pending());
}

TEST_F(LocalApicTest, LevelLintAsksAgainAfterEoi) {
  enable();
  put(0x350, 0x8040);
  apic().set_input(0, true);
  EXPECT_EQ(apic().acknowledge(), 0x40);
  EXPECT_EQ(get(0x350), 0xc040u);
  put(Reg::eoi_register, 0);
  EXPECT_TRUE(requested(0x40));
}

TEST_F(LocalApicTest, VirtualWireTakesTheVectorFromThePic) {
  apic().set_virtual_wire();
  pic.write(0, 0, 1, 0x11);
  for (const u8 icw : {0x20, 0x04, 0x01}) pic.write(0, 1, 1, icw);
  pic.set_input(0, true);
  apic().set_input(0, pic.output());
  apic().set_task_priority_class(15);
  EXPECT_TRUE(apic().interrupt_pending());
  EXPECT_EQ(apic().acknowledge(), 0x20);
}

TEST_F(LocalApicTest, PerformanceInterruptMasksItsEntry) {
  enable();
  put(0x340, 0x400);
  apic().performance_interrupt();
  apic().performance_interrupt();
  EXPECT_EQ(pins[0].nmis, 1u);
  EXPECT_EQ(get(0x340), 0x10400u);
}

TEST_F(LocalApicTest, InitResetKeepsIdAndBase) {
  enable(2);
  enable_x2apic(2);
  apic(2).init_reset();
  EXPECT_TRUE(apic(2).x2apic_enabled());
  EXPECT_EQ(msr(0x802, 2), 2u);
  EXPECT_EQ(msr(0x80d, 2), 4u);
  EXPECT_EQ(msr(0x80f, 2), 0xffu);
}

// SDM table 10-6, as kvm-unit-tests asks for it.
TEST_F(LocalApicTest, X2ApicMsrAccessRights) {
  u64 value = 0;
  for (u32 number = 0x800; number < 0x900; ++number) {
    EXPECT_FALSE(apic().read_msr(number, value)) << number;
    EXPECT_FALSE(apic().write_msr(number, 0)) << number;
  }
  enable_x2apic();
  for (u32 number = 0x800; number < 0x900; ++number) {
    const u32 low = number & 0xff;
    const bool status = low >= 0x10 && low < 0x28;
    const bool read_only = low == 0x02 || low == 0x03 || low == 0x0a || low == 0x0d || low == 0x39 || status;
    const bool write_only = low == 0x0b || low == 0x3f;
    const bool read_write =
        low == 0x08 || low == 0x0f || low == 0x28 || low == 0x30 || (low >= 0x32 && low <= 0x38) || low == 0x3e;
    EXPECT_EQ(apic().read_msr(number, value), read_only || read_write) << number;
    EXPECT_EQ(apic().write_msr(number, 0), write_only || read_write) << number;
    if (low != 0x30) {
      EXPECT_FALSE(apic().write_msr(number, ~u64{0})) << number;
    }
  }
  EXPECT_FALSE(apic().write_msr(0x83f, 0x100));
  EXPECT_FALSE(apic().write_msr(0x80b, 1));
}

TEST_F(LocalApicTest, X2ApicIpis) {
  enable_all();
  for (unsigned i = 0; i < test::processors; ++i) enable_x2apic(i);
  EXPECT_EQ(msr(0x802, 3), 3u);
  EXPECT_EQ(msr(0x80d, 3), 8u);
  EXPECT_TRUE(apic().write_msr(0x83f, 0x41));
  EXPECT_EQ(who_has(0x41), 1u);
  EXPECT_TRUE(apic().write_msr(0x830, u64{0xffffffff} << 32 | 0x4042));
  EXPECT_EQ(who_has(0x42), 0xfu);
  EXPECT_TRUE(apic().write_msr(0x830, u64{0x6} << 32 | 0x0843));
  EXPECT_EQ(who_has(0x43), 0x6u);
  EXPECT_TRUE(apic().write_msr(0x830, u64{0x2} << 32 | 0x0044));
  EXPECT_EQ(who_has(0x44), 0x4u);
  EXPECT_EQ(msr(0x830), u64{0x2} << 32 | 0x0044);
}

TEST_F(LocalApicTest, MessageSignalledInterruptsFindTheirTarget) {
  enable_all();
  router.message_signalled(0xfee02000, 0x4031);
  EXPECT_EQ(who_has(0x31), 0x4u);
  router.message_signalled(0xfed02000, 0x4032);
  EXPECT_EQ(who_has(0x32), 0u);
  for (unsigned i = 0; i < test::processors; ++i) put(Reg::ldr_register, 1u << (24 + i), i);
  router.message_signalled(0xfee03004, 0x4033);
  EXPECT_EQ(who_has(0x33), 0x3u);
  router.message_signalled(0xfee0f00c, 0x4134);
  EXPECT_EQ(who_has(0x34), 0x8u);  // the others have requests already
}

TEST_F(LocalApicTest, HostileRegisterTrafficIsSurvived) {
  u32 seed = 1;
  for (unsigned i = 0; i < 200'000; ++i) {
    seed = seed * 1664525 + 1013904223;
    const u32 offset = seed >> 8 & 0xfff;
    seed = seed * 1664525 + 1013904223;
    apic().write(0, (seed & 3) != 0 ? offset & 0xff0 : offset, 4, seed >> (seed >> 27));
    apic().read(0, offset, 1 << (seed >> 5 & 3));
    if ((seed >> 9 & 7) == 0) apic().acknowledge();
    if ((seed >> 12 & 15) == 0) hosts[0].set_now(SimTime::from_ns(hosts[0].now().ps / 1000 + (seed >> 16)));
    if (hosts[0].alarm_time() <= hosts[0].now()) apic().alarm();
  }
  SUCCEED();
}

}  // namespace
}  // namespace bunshin
