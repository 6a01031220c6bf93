// What timed cores count: every cycle once, in one cause, one privilege level, one address space and one instruction.

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <vector>

#include "core/timing/in_order.h"
#include "core/timing/out_of_order.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

template <class Model>
class TimedCore {
 public:
  TimedCore()
      : memory_(caches_, 1, 2'000'000'000, 1),
        plans(parameters_, caches_.l1d.latency, machine.table, &machine.memory),
        state(parameters_),
        pipeline(TimingContext{parameters_, memory_, plans, 7}, 0, state) {
    machine.enter_long(0x1000);
    machine.processor.set_block_observer(&pipeline);
  }

  Stop run(std::initializer_list<u8> code, u64 cycles = 1'000'000) {
    machine.write(0x1000, code);
    const Stop stop = machine.processor.run(cycles);
    state.settle(machine.processor.cycles());
    return stop;
  }

 private:
  PipelineParameters parameters_;
  MemoryHierarchyParameters caches_;

 public:
  TestMachine machine;

 private:
  MemoryHierarchy memory_;

 public:
  BlockPlans plans;
  PipelineState state;
  Model pipeline;
};

template <class Model>
class TimingStatisticsTest : public ::testing::Test {
 protected:
  /// Everything that counts cycles must come to the same sum.
  void expect_consistent() {
    const RunCounters all = core_.state.counters();
    EXPECT_EQ(all.account.total(), core_.machine.processor.cycles());
    u64 by_privilege = 0;
    for (const Privilege p : {Privilege::User, Privilege::Supervisor})
      by_privilege += core_.state.statistics.of(p, all).account.total();
    EXPECT_EQ(by_privilege, all.account.total());
    u64 by_instruction = 0;
    u64 executions = 0;
    for (const HotInstruction& h : core_.plans.hot_instructions().hottest()) {
      by_instruction += h.cycles;
      executions += h.executions;
    }
    EXPECT_EQ(by_instruction + all.account[CycleCause::Device] + all.account[CycleCause::Halted], all.account.total());
    EXPECT_EQ(executions, all[RunCount::Instructions]);
  }

  TimedCore<Model> core_;
};

using Models = ::testing::Types<InOrderPipeline, OutOfOrderPipeline>;
TYPED_TEST_SUITE(TimingStatisticsTest, Models);

/// mov ecx, 300; loop: mov rax, [rcx*8+0x5000]; imul rax, rax; mov [rcx*8+0x9000], rax; dec ecx; jnz loop; hlt
constexpr std::initializer_list<u8> memory_loop = {0xb9, 0x2c, 0x01, 0x00, 0x00, 0x48, 0x8b, 0x04, 0xcd, 0x00,
                                                   0x50, 0x00, 0x00, 0x48, 0x0f, 0xaf, 0xc0, 0x48, 0x89, 0x04,
                                                   0xcd, 0x00, 0x90, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xe8, 0xf4};

TYPED_TEST(TimingStatisticsTest, EveryCycleOfALoopThroughMemoryIsCountedOnce) {
  EXPECT_EQ(this->core_.run(memory_loop), Stop::Halted);
  this->expect_consistent();
}

TYPED_TEST(TimingStatisticsTest, EveryCycleOfARepeatedStringInstructionIsCountedOnce) {
  // mov ecx, 5000; mov esi, 0x10000; mov edi, 0x40000; rep movsb; hlt
  EXPECT_EQ(this->core_.run({0xb9, 0x88, 0x13, 0x00, 0x00, 0xbe, 0x00, 0x00, 0x01, 0x00, 0xbf, 0x00, 0x00, 0x04, 0x00,
                             0xf3, 0xa4, 0xf4}),
            Stop::Halted);
  this->expect_consistent();
}

TYPED_TEST(TimingStatisticsTest, APauseIsTheDevicesTime) {
  this->core_.machine.profile.pause_cycles = 100;
  // pause; pause; hlt
  EXPECT_EQ(this->core_.run({0xf3, 0x90, 0xf3, 0x90, 0xf4}), Stop::Halted);
  EXPECT_EQ(this->core_.state.counters().account[CycleCause::Device], 2 * 99U);
  this->expect_consistent();
}

TYPED_TEST(TimingStatisticsTest, WaitingIsHaltedTime) {
  this->core_.run({0x90, 0xf4});
  this->core_.machine.processor.skip_to(this->core_.machine.processor.cycles() + 1234);
  this->core_.state.settle(this->core_.machine.processor.cycles());
  EXPECT_EQ(this->core_.state.counters().account[CycleCause::Halted], 1234U);
  this->expect_consistent();
}

TYPED_TEST(TimingStatisticsTest, ARunCutOffByItsDeadlineIsCountedOnce) {
  for (u64 deadline = 3; deadline < 600; deadline += 7) this->core_.run(memory_loop, deadline);
  this->expect_consistent();
}

TYPED_TEST(TimingStatisticsTest, AFoldedPlanCountsOn) {
  this->core_.run(memory_loop, 500);
  this->core_.machine.blocks.clear();
  this->core_.plans.clear();
  this->core_.run(memory_loop, 100'000);
  this->expect_consistent();
}

TYPED_TEST(TimingStatisticsTest, TheHottestInstructionOfAMultiplyChainIsTheMultiply) {
  // mov ecx, 1000; loop: imul rax, rax ×3; dec ecx; jnz loop; hlt
  this->core_.run({0xb9, 0xe8, 0x03, 0x00, 0x00, 0x48, 0x0f, 0xaf, 0xc0, 0x48, 0x0f,
                   0xaf, 0xc0, 0x48, 0x0f, 0xaf, 0xc0, 0xff, 0xc9, 0x75, 0xf0, 0xf4});
  const HotInstruction hottest = this->core_.plans.hot_instructions().hottest().front();
  EXPECT_EQ(hottest.bytes[1], 0x0f);
  EXPECT_EQ(hottest.bytes[2], 0xaf);
  EXPECT_EQ(hottest.executions, 1000U);
  EXPECT_EQ(hottest.length, 4U);
  EXPECT_EQ(hottest.bits, 64U);
}

/// The load before it hits, and is served without a record.
TYPED_TEST(TimingStatisticsTest, AMissIsChargedToTheLoadThatMissed) {
  this->core_.pipeline.attach(this->core_.machine.processor.cpu());
  // mov ecx, 300; mov esi, 0x10000; loop: mov rax, [0x5000]; mov rbx, [rsi]; add rsi, 64; dec ecx; jnz loop; hlt
  this->core_.run({0xb9, 0x2c, 0x01, 0x00, 0x00, 0xbe, 0x00, 0x00, 0x01, 0x00, 0x48, 0x8b, 0x04, 0x25, 0x00,
                   0x50, 0x00, 0x00, 0x48, 0x8b, 0x1e, 0x48, 0x83, 0xc6, 0x40, 0xff, 0xc9, 0x75, 0xed, 0xf4});
  const HotInstruction hottest = this->core_.plans.hot_instructions().hottest().front();
  EXPECT_EQ(hottest.length, 3U);
  EXPECT_EQ(hottest.bytes[2], 0x1e);
}

TYPED_TEST(TimingStatisticsTest, WalksAreCountedByLevelAndPage) {
  this->core_.run(memory_loop);
  const WalkCounters& w = this->core_.state.statistics.walks(Privilege::Supervisor);
  // A page of 2 MiB: the PML4E, the PDPTE and the PDE. The first store walks again, because D is not set.
  EXPECT_EQ(w.walks, 2U);
  EXPECT_EQ(w.by_references[3], 2U);
  EXPECT_EQ(w.by_last_level[2], 2U);
  EXPECT_EQ(w.by_first_level[4], 2U);
  EXPECT_EQ(w.at[0][4].references + w.at[0][3].references + w.at[0][2].references, 6U);
  const std::vector<HotPage> pages = this->core_.state.statistics.pages().hottest(10);
  ASSERT_FALSE(pages.empty());
  EXPECT_EQ(pages[0].shift, 21U);
  EXPECT_EQ(pages[0].linear, 0U);
  EXPECT_EQ(pages[0].walk_references, 6U);
}

TYPED_TEST(TimingStatisticsTest, RegisteredStatisticsAddUp) {
  this->core_.run(memory_loop);
  StatRegistry registry;
  this->core_.state.register_stats(registry, "c.");
  const auto stats = registry.snapshot();
  const auto value = [&](const std::string& name) { return std::get<u64>(stats.at(name).value); };
  u64 sum = 0;
  for (const std::string_view cause : cycle_cause_names) {
    const std::string name = "cycles." + std::string(cause);
    EXPECT_EQ(value("c." + name), value("c.user." + name) + value("c.supervisor." + name)) << name;
    sum += value("c." + name);
  }
  EXPECT_EQ(sum, this->core_.machine.processor.cycles());
  EXPECT_EQ(value("c.walk_references"), 6U);
  EXPECT_EQ(value("c.supervisor.walk_references.3"), 2U);
}

AddressSpaces filled(std::size_t count) {
  AddressSpaces spaces;
  for (u64 i = 1; i <= count; ++i) {
    AddressSpace& space = spaces.at(i << 12, i);
    space.by_privilege[0].account[CycleCause::Base] += i;
    space.by_privilege[0][RunCount::Walks] += 1;
  }
  return spaces;
}

TEST(AddressSpaceTable, KeepsTheHottestAndTheSumOfTheRest) {
  constexpr u64 more = 44;
  const AddressSpaces spaces = filled(AddressSpaces::capacity + more);
  const std::vector<AddressSpace> hottest = spaces.hottest();
  EXPECT_EQ(hottest.size(), AddressSpaces::capacity);
  EXPECT_EQ(hottest.front().cr3, (AddressSpaces::capacity + more) << 12);
  EXPECT_EQ(spaces.evicted(), more);
  u64 walks = spaces.others().by_privilege[0][RunCount::Walks];
  for (const AddressSpace& s : hottest) walks += s.by_privilege[0][RunCount::Walks];
  EXPECT_EQ(walks, AddressSpaces::capacity + more);
  EXPECT_EQ(spaces.others().cycles(), more * (more + 1) / 2);
}

TEST(AddressSpaceTable, PrivilegeIsPartOfTheIdentityButNotOfTheSpace) {
  const AddressSpaceId user(0x1234000, true);
  EXPECT_EQ(user.cr3(), 0x1234000U);
  EXPECT_EQ(user.privilege(), Privilege::User);
  EXPECT_NE(user, AddressSpaceId(0x1234000, false));
}

TEST(HotPageTable, IsBoundedAndKeepsWhatCostsMost) {
  HotPages pages;
  const AddressSpaceId space(0x1000, true);
  pages.walked(0x7000'0000, space, 12).walk_cycles = 1'000'000;
  for (u64 i = 0; i < 100'000; ++i) pages.walked(i << 12, space, 12).walk_cycles += 1;
  const std::vector<HotPage> hottest = pages.hottest(5);
  ASSERT_EQ(hottest.size(), 5U);
  EXPECT_EQ(hottest[0].linear, 0x7000'0000U);
  EXPECT_EQ(hottest[0].walk_cycles, 1'000'000U);
  EXPECT_LT(pages.hottest(1'000'000).size(), 5000U);
}

TEST(HotPageTable, AMissIsChargedToThePageAsTheWalkFoundIt) {
  HotPages pages;
  const AddressSpaceId space(0x1000, true);
  pages.walked(0x4012'3456, space, 21);
  pages.at(0x401f'0000, space).misses += 1;
  const std::vector<HotPage> hottest = pages.hottest(2);
  ASSERT_EQ(hottest.size(), 1U);
  EXPECT_EQ(hottest[0].linear, 0x4000'0000U);
  EXPECT_EQ(hottest[0].misses, 1U);
}

}  // namespace
}  // namespace bunshin
