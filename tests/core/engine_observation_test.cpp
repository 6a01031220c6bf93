// Watching a core block by block: what the observer is told, and that nothing else changes.

#include <gtest/gtest.h>

#include <vector>

#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

struct Seen {
  u64 rip = 0;
  u64 next_rip = 0;
  unsigned completed = 0;
  std::vector<MemoryReference> references;
};

class Recorder final : public BlockObserver {
 public:
  u64 block_ran(const BlockRun& run) override {
    seen.push_back({run.rip, run.next_rip, run.completed, {run.references.begin(), run.references.end()}});
    return run.completed * cycles_per_instruction;
  }
  std::vector<Seen> seen;
  u64 cycles_per_instruction = 1;
};

/// mov ecx, 3; loop: add [0x5000], ecx; dec ecx; jnz loop; hlt
constexpr std::initializer_list<u8> store_loop = {0xb9, 3,    0,    0,    0,    0x01, 0x0c, 0x25, 0x00,
                                                  0x50, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf5, 0xf4};

TEST(Observation, ReportsEveryBlockWithWhereItWent) {
  TestMachine m;
  Recorder recorder;
  m.enter_long(0x1000);
  m.write(0x1000, store_loop);
  m.processor.set_block_observer(&recorder);
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  std::vector<std::pair<u64, u64>> steps;
  for (const Seen& s : recorder.seen) steps.emplace_back(s.rip, s.next_rip);
  const std::vector<std::pair<u64, u64>> expected = {
      {0x1000, 0x1005}, {0x1005, 0x1005}, {0x1005, 0x1010}, {0x1010, 0x1011}};
  EXPECT_EQ(steps, expected);
  EXPECT_EQ(recorder.seen[0].completed, 4U);
}

TEST(Observation, LogsLoadsStoresAndTheWalksBeforeThem) {
  TestMachine m;
  Recorder recorder;
  m.enter_long(0x1000);
  m.write(0x1000, store_loop);
  m.processor.set_block_observer(&recorder);
  m.processor.run(1000);
  using Kind = MemoryReference::Kind;
  std::vector<Kind> kinds;
  for (const MemoryReference& r : recorder.seen[1].references) {
    kinds.push_back(r.kind);
    EXPECT_EQ(r.linear, 0x5000U);
    EXPECT_EQ(r.physical.value, 0x5000U);
    EXPECT_TRUE(r.fast);
  }
  EXPECT_EQ(kinds, (std::vector<Kind>{Kind::Load, Kind::Store}));
  u64 reads = 0;
  u64 updates = 0;
  for (const MemoryReference& r : recorder.seen[0].references) {
    reads += r.kind == Kind::TableRead ? 1 : 0;
    updates += r.kind == Kind::TableUpdate ? 1 : 0;
  }
  EXPECT_EQ(reads, 6U) << "code and data share a 2 MiB page: three levels for the fetch, and again for the write";
  EXPECT_EQ(updates, 4U) << "A in three entries, then D in the last";
}

TEST(Observation, ChangesNeitherCyclesNorState) {
  TestMachine plain;
  TestMachine observed;
  Recorder recorder;
  observed.processor.set_block_observer(&recorder);
  StateHash hashes[2];
  u64 cycles[2];
  unsigned i = 0;
  for (TestMachine* m : {&plain, &observed}) {
    m->enter_long(0x1000);
    m->write(0x1000, store_loop);
    for (u64 deadline = 2; deadline < 30; deadline += 2) m->processor.run(deadline);
    m->processor.hash(hashes[i]);
    cycles[i++] = m->processor.cycles();
  }
  EXPECT_EQ(cycles[0], cycles[1]);
  EXPECT_EQ(hashes[0].value(), hashes[1].value());
  EXPECT_FALSE(recorder.seen.empty());
}

TEST(Observation, CountsTheInstructionsBeforeAFault) {
  TestMachine m;
  Recorder recorder;
  m.enter_long(0x1000);
  m.write(0x1000, {0x90, 0x90, 0x0f, 0x0b});  // nop; nop; ud2
  m.processor.set_block_observer(&recorder);
  m.processor.run(1000);
  ASSERT_FALSE(recorder.seen.empty());
  EXPECT_EQ(recorder.seen[0].completed, 2U);
}

TEST(Observation, CyclesAreWhatTheObserverSays) {
  TestMachine m;
  Recorder recorder;
  recorder.cycles_per_instruction = 3;
  m.enter_long(0x1000);
  m.write(0x1000, store_loop);
  m.processor.set_block_observer(&recorder);
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.processor.instructions(), 11U);
  EXPECT_EQ(m.processor.cycles(), 33U);
}

TEST(Observation, MayBeginAndEndBetweenRuns) {
  TestMachine m;
  Recorder recorder;
  m.enter_long(0x1000);
  m.write(0x1000, store_loop);
  m.processor.run(3);
  m.processor.set_block_observer(&recorder);
  m.processor.run(6);
  m.processor.set_block_observer(nullptr);
  EXPECT_EQ(m.processor.run(1000), Stop::Halted);
  EXPECT_EQ(m.peek<u32>(0x5000), 6U);
  EXPECT_EQ(m.processor.cycles(), 11U);
  u64 completed = 0;
  for (const Seen& s : recorder.seen) completed += s.completed;
  EXPECT_EQ(completed, 3U);
}

}  // namespace
}  // namespace bunshin
