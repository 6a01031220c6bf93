// MONITOR and MWAIT (SDM vol. 3, 8.10): what arms the monitor, what ends the wait, and who may ask.

#include "core/system/msr.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

constexpr u64 line = 0x20'0040;

/// 64-bit code at 0x1000 that arms the monitor on `line`, waits, and halts with RBX = 1.
struct WaitingMachine : TestMachine {
  explicit WaitingMachine(CpuProfile cpu_profile = resolved_profile()) : TestMachine(std::move(cpu_profile)) {
    enter_long(0x1000);
    state().gpr[RAX] = line + 5;
    // monitor; mov ecx,esi; mwait; mov ebx,1; hlt
    write(0x1000, {0x0f, 0x01, 0xc8, 0x89, 0xf1, 0x0f, 0x01, 0xc9, 0xbb, 1, 0, 0, 0, 0xf4});
  }
  void wait(u64 extensions = 0) {
    state().gpr[RSI] = extensions;
    EXPECT_EQ(processor.run(1000), Stop::Halted);
    EXPECT_EQ(state().activity, Activity::Monitoring);
    EXPECT_EQ(state().rip, 0x1008u);
  }
  bool goes_on() {
    EXPECT_EQ(processor.run(2000), Stop::Halted);
    return state().gpr[RBX] == 1;
  }
  void request_interrupt() {
    apic.write(0, LocalApic::svr_register, 4, 0x1ff);
    InterruptMessage message;
    message.vector = 0x40;
    apic.deliver(message);
    ASSERT_TRUE(apic.interrupt_pending());
  }
};

TEST(Mwait, WithoutAnArmedMonitorCompletesAtOnce) {
  WaitingMachine m;
  m.state().rip = 0x1005;
  EXPECT_TRUE(m.goes_on());
}

TEST(Mwait, WaitsUntilTheLineIsWritten) {
  WaitingMachine m;
  m.wait();
  m.poke<u8>(line - 1, 1);
  m.poke<u8>(line + 64, 1);
  EXPECT_FALSE(m.goes_on());
  m.poke<u8>(line + 63, 1);
  EXPECT_TRUE(m.goes_on());
}

TEST(Mwait, IsWokenByAStoreThatChangesNothing) {
  WaitingMachine m;
  m.wait();
  m.poke<u32>(line, 0);
  EXPECT_TRUE(m.goes_on());
}

TEST(Mwait, DoesNotWaitIfTheLineWasWrittenBetween) {
  WaitingMachine m;
  // monitor; mov [rax],cl; mwait; mov ebx,1; hlt
  m.write(0x1000, {0x0f, 0x01, 0xc8, 0x88, 0x08, 0x0f, 0x01, 0xc9, 0xbb, 1, 0, 0, 0, 0xf4});
  EXPECT_TRUE(m.goes_on());
}

TEST(Mwait, IsWokenByAnotherCoresStoreThroughAWarmTranslation) {
  WaitingMachine m;
  LocalApic other_apic(1, 1, false, m.host, m.interrupt_bus, m.pins, Clock{m.profile.crystal});
  Processor other(m.profile, TlbParameters{}, 1, true, m.memory, m.bus, other_apic, m.environment, m.blocks, m.table);
  const u64 rng = other.state().rng_state;
  other.state() = m.state();
  other.state().rng_state = rng;
  other.state().rip = 0x1800;
  other.state_changed();
  // mov byte [rax+1],0; nop; mov byte [rax],0; hlt: the first store fills the fast cache before the monitor is armed
  m.write(0x1800, {0xc6, 0x40, 0x41, 0, 0x90, 0xc6, 0x00, 0, 0xf4});
  EXPECT_EQ(other.run(2), Stop::Deadline);
  m.wait();
  EXPECT_EQ(other.run(100), Stop::Halted);
  EXPECT_TRUE(m.goes_on());
}

TEST(Mwait, AlsoWatchesAPageThatHoldsCode) {
  WaitingMachine m;
  m.state().gpr[RAX] = 0x1100;
  m.wait();
  m.poke<u8>(0x1001, 0x01);
  EXPECT_FALSE(m.goes_on());
  m.poke<u8>(0x1100, 1);
  EXPECT_TRUE(m.goes_on());
}

TEST(Mwait, LeavesAMaskedInterruptPendingUnlessAskedToEndForIt) {
  WaitingMachine m;
  m.wait();
  m.request_interrupt();
  EXPECT_FALSE(m.goes_on());
  WaitingMachine asking;
  asking.wait(1);
  asking.request_interrupt();
  EXPECT_TRUE(asking.goes_on());
  EXPECT_TRUE(asking.apic.interrupt_pending());
}

TEST(Mwait, EndsForAnNmi) {
  WaitingMachine m;
  m.poke<u64>(0x110008, 0x00af'9b00'0000'ffff);
  m.poke<u64>(0x110010, 0x00cf'9300'0000'ffff);
  m.poke<u64>(0x111020, u64{0x8e00} << 32 | u64{8} << 16 | 0x3000);
  m.state().gdtr = {0x110000, 23};
  m.state().idtr = {0x111000, 0xfff};
  m.write(0x3000, {0x48, 0xcf});  // iretq
  m.wait();
  m.processor.nmi();
  EXPECT_TRUE(m.goes_on());
}

TEST(Monitor, FaultsAsALoadOfItsByteWould) {
  WaitingMachine m;
  m.state().gpr[RAX] = u64{1} << 40;
  EXPECT_EQ(m.processor.run(50), Stop::Shutdown);  // no handlers
  EXPECT_EQ(m.state().cr2, u64{1} << 40);
}

struct MonitorCore : TestCore {
  using TestCore::TestCore;
  static Record address32() {
    Record r;
    r.prefixes = 1 << 2;
    r.segment = static_cast<u8>(Seg::DS);
    return r;
  }
  bool monitor() { return semantics::monitor(cpu, address32()); }
  bool mwait() { return semantics::mwait(cpu, address32()); }
};

TEST(Monitor, IsUndefinedOutsideLevelZero) {
  MonitorCore m;
  m.cpu.state.cpl = 3;
  EXPECT_FALSE(m.monitor());
  EXPECT_TRUE(m.raised(Vector::UD));
  m.clear();
  EXPECT_FALSE(m.mwait());
  EXPECT_TRUE(m.raised(Vector::UD));
}

TEST(Monitor, IsUndefinedWhenMiscEnableSwitchesItOff) {
  MonitorCore m;
  ASSERT_TRUE(write_msr(m.cpu, 0x1a0, 1));
  EXPECT_FALSE(m.monitor());
  EXPECT_TRUE(m.raised(Vector::UD));
}

TEST(Monitor, OfAmdFollowsHwcr) {
  MonitorCore m(resolved_profile("AuthenticAMD"));
  m.cpu.state.cpl = 3;
  ASSERT_TRUE(write_msr(m.cpu, 0xc001'0015, hwcr::monitor_user));
  EXPECT_TRUE(m.mwait());
  ASSERT_TRUE(write_msr(m.cpu, 0xc001'0015, hwcr::monitor_user | hwcr::monitor_disabled));
  EXPECT_FALSE(m.mwait());
  EXPECT_TRUE(m.raised(Vector::UD));
}

TEST(Monitor, AndMwaitRefuseUnknownExtensions) {
  MonitorCore m;
  m.set(RCX, 1);
  EXPECT_FALSE(m.monitor());
  EXPECT_TRUE(m.raised(Vector::GP));
  m.clear();
  EXPECT_TRUE(m.mwait());
  m.set(RCX, 2);
  EXPECT_FALSE(m.mwait());
  EXPECT_TRUE(m.raised(Vector::GP));
}

}  // namespace
}  // namespace bunshin
