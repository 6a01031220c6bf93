// What world switches cost, and who is told of them: an extension made for the test, whose guest is the same code that the host runs.

#include <gtest/gtest.h>

#include "core/timing/in_order.h"
#include "core/timing/out_of_order.h"
#include "core/virt/exit_statistics.h"
#include "core/virt/physical_access.h"
#include "core/virt/vmx/exit_reasons.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

constexpr u64 guest_code = 0x1000, host_code = 0x2000, control_block = 0x9000;
constexpr u32 cpuid_reason = 10;

/// CPUID leaves the guest for host_code; a world switch moves four lines.
class FakeExtension final : public Virtualization {
 public:
  explicit FakeExtension(Cpu& cpu) : Virtualization(cpu) {}
  void enter() {
    cpu_.state.rip = guest_code;
    move_state();
    entered_guest();
    cpu_.event_gate = nullptr;
  }
  void move_state() const {
    for (u64 i = 0; i < 32; ++i) (void)read_physical<u64>(cpu_, HostPhysical(control_block + i * 8));
  }

  void reset() override {}
  InitAction init_arrived() override { return InitAction::Take; }
  bool startup_arrived(u8) override { return false; }
  void hash(StateHash&) const override {}
  void register_stats(StatRegistry&, const std::string&) const override {}
  bool cr0_allowed(u64) const override { return true; }
  bool cr4_allowed(u64) const override { return true; }
  bool intercepts(const Record&, Intercept what, u64) override {
    return what == Intercept::Cpuid && !cpu_.raise(Fault::intercepted());
  }
  bool intercepts_task_switch(const TaskSwitchDetail&) override { return false; }
  bool intercepts_exception(const Event&) override { return false; }
  bool intercepts_shutdown() override { return false; }
  u64 visible_cr0() const override { return cpu_.state.cr0; }
  u64 visible_cr4() const override { return cpu_.state.cr4; }
  u64 merged_cr0(u64 value) const override { return value; }
  u64 merged_cr4(u64 value) const override { return value; }
  bool virtualizes_tpr() const override { return false; }
  u8 read_virtual_tpr() override { return 0; }
  void write_virtual_tpr(u8) override {}
  std::optional<bool> read_virtual_msr(u32, u64&) override { return std::nullopt; }
  std::optional<bool> write_virtual_msr(u32, u64) override { return std::nullopt; }
  u64 guest_tsc(u64 host) const override { return host; }
  bool has(Intercept) const override { return true; }
  bool read_apic_page(u64, u64, unsigned, bool, void*) override { return true; }
  bool write_apic_page(u64, u64, unsigned, const void*) override { return true; }
  void unblock_nmi() override {}
  void block_nmi() override {}
  ExitTable exit_table() const override { return vmx::exit_table(); }
  DueEvent due() const override { return {}; }
  void take_silently() override {}
  Event injected_event() override { return {}; }
  u8 acknowledge_virtual() override { return 0; }
  void leave_guest(const Fault&, const Event*) override {
    const u64 rip = cpu_.state.rip;
    cpu_.state.rip = host_code;
    move_state();
    left_guest({cpuid_reason, 1, 2, rip});
  }
};

struct World {
  explicit World(const PipelineParameters& costs)
      : parameters(costs), memory(caches, 1, 2'000'000'000, 1), plans(parameters, caches.l1d.latency, machine.table) {
    machine.write(guest_code, {0x90, 0x90, 0x0f, 0xa2});  // nop; nop; cpuid
    machine.write(host_code, {0xf4});                     // hlt
    machine.enter_long(guest_code);
    auto owned = std::make_unique<FakeExtension>(machine.processor.cpu());
    extension = owned.get();
    machine.processor.cpu().virt = std::move(owned);
    extension->set_listener(&statistics);
  }
  template <class Model>
  void use() {
    pipeline = std::make_unique<Model>(TimingContext{parameters, memory, plans, 7}, 0, state);
    machine.processor.set_block_observer(pipeline.get());
  }
  /// One stay in the guest; returns the cycles.
  u64 round_trip() {
    const u64 before = machine.processor.cycles();
    machine.state().activity = Activity::Active;
    extension->enter();
    EXPECT_EQ(machine.processor.run(before + 1'000'000), Stop::Halted);
    return machine.processor.cycles() - before;
  }

  PipelineParameters parameters;
  MemoryHierarchyParameters caches;
  TestMachine machine;
  MemoryHierarchy memory;
  BlockPlans plans;
  PipelineState state{parameters};
  std::unique_ptr<Pipeline> pipeline;
  FakeExtension* extension = nullptr;
  ExitStatistics statistics{vmx::exit_table()};
};

PipelineParameters free_of_charge() {
  PipelineParameters p;
  p.virtualization.entry = p.virtualization.other = 0;
  p.virtualization.exit.fill(0);
  return p;
}

u64& exit_cost(PipelineParameters& p, ExitKind kind) { return p.virtualization.exit[static_cast<unsigned>(kind)]; }

template <class Model>
class Transitions : public testing::Test {};
using Models = testing::Types<InOrderPipeline, OutOfOrderPipeline>;
TYPED_TEST_SUITE(Transitions, Models);

TYPED_TEST(Transitions, CostWhatTheParametersSayBesideTheirReferences) {
  PipelineParameters costly = free_of_charge();
  costly.virtualization.entry = 400;
  exit_cost(costly, ExitKind::Cpuid) = 3000;
  exit_cost(costly, ExitKind::Other) = 50'000;
  World cheap(free_of_charge());
  World charged(costly);
  cheap.use<TypeParam>();
  charged.use<TypeParam>();
  EXPECT_EQ(charged.round_trip() - cheap.round_trip(), 3400U);
  EXPECT_EQ(charged.round_trip() - cheap.round_trip(), 3400U) << "again, with warm caches";
}

TYPED_TEST(Transitions, AreCausesOfTheirOwn) {
  PipelineParameters costly = free_of_charge();
  costly.virtualization.entry = 400;
  exit_cost(costly, ExitKind::Cpuid) = 3000;
  World w(costly);
  w.use<TypeParam>();
  w.round_trip();
  const CycleAccount cold = w.state.account;
  w.round_trip();
  EXPECT_GE(w.state.account[CycleCause::VmEntry] - cold[CycleCause::VmEntry], 400U);
  EXPECT_LT(w.state.account[CycleCause::VmEntry] - cold[CycleCause::VmEntry], 450U);
  EXPECT_GE(w.state.account[CycleCause::VmExit] - cold[CycleCause::VmExit], 3000U);
  EXPECT_LT(w.state.account[CycleCause::VmExit] - cold[CycleCause::VmExit], 3050U);
  w.state.settle(w.machine.processor.cycles());
  EXPECT_EQ(w.state.account.total(), w.machine.processor.cycles());
}

TYPED_TEST(Transitions, MakeTheirReferencesThroughTheCaches) {
  World w(free_of_charge());
  w.use<TypeParam>();
  w.round_trip();
  const LevelCounters& l1d = w.memory.counters(0).l1d;
  const u64 misses = l1d.misses[static_cast<unsigned>(AccessClass::Load)];
  EXPECT_GE(misses, 4U) << "the control block's lines, cold";
  w.round_trip();
  EXPECT_EQ(l1d.misses[static_cast<unsigned>(AccessClass::Load)], misses) << "… and warm";
}

TYPED_TEST(Transitions, TellTheListenerOfGuestAndHostTime) {
  PipelineParameters costly = free_of_charge();
  costly.virtualization.entry = 400;
  exit_cost(costly, ExitKind::Cpuid) = 3000;
  World w(costly);
  w.use<TypeParam>();
  for (unsigned i = 0; i < 3; ++i) w.round_trip();
  const ExitTable table = w.statistics.table();
  const ExitStatistics::Row& row = w.statistics.rows()[exit_row(table, cpuid_reason)];
  EXPECT_EQ(w.statistics.entries(), 3U);
  EXPECT_EQ(w.statistics.exits(), 3U);
  EXPECT_EQ(row.count, 3U);
  EXPECT_GE(row.host_cycles, 6000U) << "two exits were followed by an entry";
  EXPECT_LE(row.guest_cycles + row.host_cycles, w.machine.processor.cycles());
}

TYPED_TEST(Transitions, CountGuestsAsPrivilegesOfTheirOwn) {
  World w(free_of_charge());
  w.use<TypeParam>();
  w.round_trip();
  const RunCounters guest = w.state.statistics.of(Privilege::GuestSupervisor, w.state.counters());
  const RunCounters host = w.state.statistics.of(Privilege::Supervisor, w.state.counters());
  EXPECT_EQ(guest[RunCount::Instructions], 2U) << "the two NOPs";
  EXPECT_EQ(host[RunCount::Instructions], 1U) << "HLT";
}

TEST(Transition, WithoutTimingIsOneCycleOfTheFault) {
  World w(free_of_charge());
  EXPECT_EQ(w.round_trip(), 4U) << "two NOPs, CPUID that left, HLT";
}

TEST(Transition, CostsOfEveryKindArePossible) {
  TransitionParameters p;
  TransitionCounts all;
  u64 sum = 0;
  for (unsigned i = 0; i < transitions; ++i) {
    all.add(static_cast<Transition>(i));
    sum += p.cycles(static_cast<Transition>(i));
  }
  EXPECT_EQ(p.cycles(all), sum);
  p.state_save = 10;
  p.state_load = 20;
  EXPECT_EQ(p.cycles(all), sum + (1 + exit_kinds) * 30) << "of entries and exits only";
}

/// What a sink was told.
class Sink final : public ExitSink {
 public:
  void exited(const ExitRecord& record, const ExitCause& cause) override {
    records.push_back(record);
    names.emplace_back(cause.name);
  }
  std::vector<ExitRecord> records;
  std::vector<std::string> names;
};

TEST(ExitStatistics, GiveEachExitToTheirSinkWhenAGuestIsEnteredAgain) {
  World w(free_of_charge());
  Sink sink;
  w.statistics.set_sink(&sink);
  w.round_trip();
  EXPECT_TRUE(sink.records.empty());
  w.round_trip();
  ASSERT_EQ(sink.records.size(), 1U);
  EXPECT_EQ(sink.names[0], "cpuid");
  EXPECT_EQ(sink.records[0].exit.rip, guest_code + 2);
  EXPECT_TRUE(sink.records[0].host_cycles.has_value());
  w.statistics.finish();
  ASSERT_EQ(sink.records.size(), 2U);
  EXPECT_FALSE(sink.records[1].host_cycles.has_value()) << "no entry behind it";
}

}  // namespace
}  // namespace bunshin
