// The guest's board on a machine whose time goes on while the hypervisor works.

#include "vmm-model/platform/virtual_pc.h"

#include <gtest/gtest.h>

#include "tests/vmm-model/host_machine.h"
#include "vmm-model/guest_cpuid.h"
#include "vmm-model/registers.h"

namespace bunshin::vmm {
namespace {

constexpr u16 pm_timer = AcpiPm::pm_base + 8;
constexpr u32 timer_mask = 0xff'ffff;

struct Board final : VirtualPcEvents {
  Board() { pc.power_on(); }
  void power_off() override {}
  void reset() override {}
  void debug_exit(u32) override {}
  void nmi() override {}
  void serial_output(u8) override {}
  void memory_written(GuestPhysical, u64) override {}

  HostMachine machine{16 << 20};
  GuestMemory memory{machine, HostPhysical(0), 4 << 20};
  VirtualPc pc{machine, memory, *this, VirtualPcSetup{.apic = {true, true, 36}}};
};

// Bytes of one read came from different times: a carry between two of them put the timer 256 ticks ahead, and the next read
// went back ("PM-Timer had inconsistent results").
TEST(VirtualPc, PowerManagementTimerIsReadAtOneTime) {
  Board board;
  board.machine.look_takes = SimTime::from_ns(150);
  u64 last = board.pc.read_port(pm_timer, 4);
  for (unsigned i = 0; i < 20'000; ++i) {
    const u64 next = board.pc.read_port(pm_timer, 4);
    ASSERT_LT((next - last) & timer_mask, 100u) << std::hex << last << " then " << next;
    last = next;
  }
}

// One that is split because no device spans it is one access all the same.
TEST(VirtualPc, TimeStandsStillInAnAccess) {
  Board board;
  board.machine.look_takes = SimTime::from_ns(1'000'000);
  const SimTime before = board.machine.time;
  board.pc.read_port(pm_timer - 2, 8);
  EXPECT_EQ((board.machine.time - before).ps, board.machine.look_takes.ps);
  board.pc.read_port(pm_timer, 4);
  EXPECT_EQ((board.machine.time - before).ps, 2 * board.machine.look_takes.ps);
}

// An alarm that is served late sees the time it was set for, the access after it the present.
TEST(VirtualPc, LateAlarmSeesItsOwnTime) {
  Board board;
  constexpr u16 deadline_count = 1000;  // PIT: 1000 ticks of 838 ns
  board.pc.write_port(0x43, 1, 0x34);
  board.pc.write_port(0x40, 1, deadline_count & 0xff);
  board.pc.write_port(0x40, 1, deadline_count >> 8);
  const SimTime alarm = board.pc.next_alarm();
  ASSERT_NE(alarm, SimTime::never());
  board.machine.time = alarm + SimTime::from_ns(100'000);
  const SimTime next = board.pc.run_devices();
  EXPECT_GT(next, board.machine.time);
  EXPECT_EQ((board.pc.read_port(pm_timer, 4)), Clock{3'579'545}.ticks(board.machine.time));
}

// The timer's alarm saw a time before the counter that had just been read: all of its comparators seemed to have been passed.
TEST(VirtualPc, HpetReadBeforeItsAlarmIsServed) {
  Board board;
  const auto write = [&board](u64 offset, u64 value) {
    board.pc.write_memory(VirtualPc::hpet_base + offset, 8, value);
  };
  const auto status = [&board] { return board.pc.read_memory(VirtualPc::hpet_base + 0x20, 8); };
  constexpr u64 level_interrupt = 6;
  write(0x100, 16 << 9 | level_interrupt);
  write(0x108, 1'000);
  write(0x120, 17 << 9 | level_interrupt);
  write(0x128, 1'000'000);
  write(0x10, 1);
  board.machine.time = board.pc.next_alarm() + SimTime::from_ns(100'000);
  EXPECT_EQ(board.pc.read_memory(VirtualPc::hpet_base + 0xf0, 8), 11'000u);
  board.pc.run_devices();
  EXPECT_EQ(status(), 1u) << "only the first has been reached";
}

// Its counter moved the period on before the alarm had looked at the edge.
TEST(VirtualPc, PitTickIsNotLostToAReadOfItsCount) {
  Board board;
  constexpr u8 request_register = 0x0a, timer_request = 1;
  board.pc.write_port(0x20, 1, request_register);
  board.pc.write_port(0x43, 1, 0x34);
  board.pc.write_port(0x40, 1, 1000 & 0xff);
  board.pc.write_port(0x40, 1, 1000 >> 8);
  // The end of the first pulse raises the line; the read is in the next period.
  board.machine.time = board.pc.next_alarm() + SimTime::from_ns(100'000);
  board.pc.read_port(0x40, 1);
  board.pc.run_devices();
  EXPECT_EQ(board.pc.read_port(0x20, 1) & timer_request, timer_request);
}

// Register C said what had happened and was cleared by saying so, but for the interrupt, which had not been raised yet.
TEST(VirtualPc, ClockInterruptIsNotLostToAReadOfRegisterC) {
  Board board;
  const auto select = [&board](u8 index) { board.pc.write_port(0x70, 1, index); };
  select(0x0b);
  board.pc.write_port(0x71, 1, 0x42);  // periodic interrupt, 24 hours
  select(0x0c);
  board.machine.time = board.pc.next_alarm() + SimTime::from_ns(100'000);
  constexpr u64 interrupt_and_period = 0xc0;
  EXPECT_EQ(board.pc.read_port(0x71, 1), interrupt_and_period);
}

// "IO-APIC + timer doesn't work!": of the ticks in its neighbours' turns a guest got one.
TEST(VirtualPc, TicksOfOtherGuestsTurnsAreOwed) {
  Board board;
  constexpr SimTime tick = SimTime::from_ns(4'000'000);
  constexpr u16 count = 4773;  // PIT: 4 ms
  board.pc.write_port(0x43, 1, 0x34);
  board.pc.write_port(0x40, 1, count & 0xff);
  board.pc.write_port(0x40, 1, count >> 8);
  for (const u16 register_value : {0x11, 0x20, 0x04, 0x01}) {
    board.pc.write_port(register_value == 0x11 ? 0x20 : 0x21, 1, register_value);
  }
  const auto taken = [&board] {
    unsigned ticks = 0;
    for (; board.pc.apic().interrupt_pending(); board.pc.repay_ticks()) {
      EXPECT_EQ(board.pc.apic().acknowledge(), 0x20);
      board.pc.write_port(0x21, 1, 0xff);  // as handlers do: nothing may be lost to the mask
      board.pc.write_port(0x20, 1, 0x20);
      for (unsigned entry = 0; entry < 3; ++entry) board.pc.repay_ticks();
      board.pc.write_port(0x21, 1, 0);
      ++ticks;
    }
    return ticks;
  };
  board.machine.time = board.machine.time + tick;
  board.pc.run_devices();
  taken();
  board.machine.time = SimTime{board.machine.time.ps + 50 * tick.ps};
  board.pc.guest_was_away();
  EXPECT_EQ(taken(), 50u);
  board.machine.time = SimTime{board.machine.time.ps + 50 * tick.ps};
  board.pc.run_devices();
  EXPECT_EQ(taken(), 1u) << "what the guest itself does not look at is lost, as on any machine";
  board.machine.time = SimTime{board.machine.time.ps + 50 * tick.ps};
  board.pc.guest_was_away();
  board.pc.write_port(0x40, 1, count & 0xff);
  EXPECT_EQ(taken(), 1u) << "a timer set anew";
}

// x2APIC registers and IA32_TSC_DEADLINE are accesses as well.
TEST(VirtualPc, LocalApicMsrsArePartOfTheBoard) {
  Board board;
  constexpr u64 deadline = 0x1000;  // before the PIT's next tick
  ASSERT_TRUE(board.pc.apic().set_base_msr(0xfee0'0900));
  board.pc.write_memory(0xfee0'0320, 4, 0x4'0020);  // LVT timer: TSC-deadline
  ASSERT_TRUE(board.pc.write_apic_msr(msr::tsc_deadline, deadline));
  u64 value = 0;
  ASSERT_TRUE(board.pc.read_apic_msr(msr::tsc_deadline, value));
  EXPECT_EQ(value, deadline);
  EXPECT_EQ(board.pc.next_alarm(), board.machine.time_of_tsc(deadline));
  EXPECT_FALSE(board.pc.read_apic_msr(0x802, value)) << "not in x2APIC mode";
}

// A guest that reads CPUID.15H does not measure: its timer ran four times too fast.
TEST(VirtualPc, LocalApicTimerCountsTheCrystalThatCpuidTells) {
  HostMachine machine;
  constexpr Clock board{100'000'000};
  constexpr u32 crystal = 24'000'000;
  machine.leaves[0x15] = {2, 250, crystal, 0};
  machine.leaves[0] = {0x14, 0, 0, 0};
  EXPECT_EQ(apic_timer_clock(machine, board).hertz, board.hertz) << "a leaf that is not there";
  machine.leaves[0].eax = 0x16;
  EXPECT_EQ(apic_timer_clock(machine, board).hertz, crystal);
  machine.leaves[0x15].ecx = 0;
  EXPECT_EQ(apic_timer_clock(machine, board).hertz, board.hertz) << "the crystal is not told";
}

}  // namespace
}  // namespace bunshin::vmm
