// The timed pipelines: loops whose cycles follow from the parameters.

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "core/timing/in_order.h"
#include "core/timing/out_of_order.h"
#include "tests/core/engine_fixture.h"

namespace bunshin {
namespace {

constexpr u64 iterations = 20'000;

class Timing : public ::testing::Test {
 protected:
  Timing() : memory_(caches_, 1, 2'000'000'000, 1), plans_(parameters_, caches_.l1d.latency, m_.table) {}

  template <class Model>
  void use() {
    pipeline_ = std::make_unique<Model>(TimingContext{parameters_, memory_, plans_, 7}, 0, state_);
    m_.enter_long(0x1000);
    m_.processor.set_block_observer(pipeline_.get());
  }

  /// Cycles of one iteration of `body` in a loop: mov ecx, iterations; body; dec ecx; jnz body; hlt.
  double cycles_of(const std::vector<u8>& body) { return static_cast<double>(run_loop(m_, body)) / iterations; }

  static u64 run_loop(TestMachine& machine, const std::vector<u8>& body) {
    const u64 setup = 5;
    std::vector<u8> code = {0xb9, 0, 0, 0, 0};
    const u32 count = iterations;
    std::memcpy(&code[1], &count, 4);
    code.insert(code.end(), body.begin(), body.end());
    code.insert(code.end(), {0xff, 0xc9, 0x75});
    code.push_back(static_cast<u8>(setup - (code.size() + 1)));
    code.push_back(0xf4);
    machine.memory.write(HostPhysical(0x1000), code);
    EXPECT_EQ(machine.processor.run(100'000'000), Stop::Halted);
    return machine.processor.cycles();
  }

  PipelineParameters parameters_;
  MemoryHierarchyParameters caches_;
  TestMachine m_;
  MemoryHierarchy memory_;
  BlockPlans plans_;
  PipelineState state_{parameters_};
  std::unique_ptr<Pipeline> pipeline_;
};

/// mov rax, [0x2000]; mov rbx, [0x3000]; mov rsi, [0x4000]: lines of one set, each read again when others have been.
const std::vector<u8> one_set = {0x48, 0x8b, 0x04, 0x25, 0,    0x20, 0,    0,    0x48, 0x8b, 0x1c, 0x25,
                                 0,    0x30, 0,    0,    0x48, 0x8b, 0x34, 0x25, 0,    0x40, 0,    0};

/// imul rax, rax
const std::vector<u8> multiply = {0x48, 0x0f, 0xaf, 0xc0};

TEST_F(Timing, OutOfOrderChainOfMultipliesTakesItsLatency) {
  use<OutOfOrderPipeline>();
  EXPECT_NEAR(cycles_of(multiply), 3, 0.1);
}

TEST_F(Timing, InOrderChainOfMultipliesTakesItsLatency) {
  use<InOrderPipeline>();
  EXPECT_NEAR(cycles_of(multiply), 3, 0.1);
}

TEST_F(Timing, OutOfOrderIndependentWorkFillsTheWidth) {
  use<OutOfOrderPipeline>();
  // Six increments of six registers, and the loop's two instructions: eight, four a cycle.
  EXPECT_NEAR(cycles_of({0xff, 0xc0, 0xff, 0xc3, 0xff, 0xc2, 0xff, 0xc6, 0xff, 0xc7, 0xff, 0xc5}), 2, 0.1);
}

TEST_F(Timing, OutOfOrderLoadsInAChainTakeTheFirstLevelsLatency) {
  use<OutOfOrderPipeline>();
  m_.poke<u64>(0x5000, 0x5000);
  m_.state().gpr[RAX] = 0x5000;
  // mov rax, [rax]
  EXPECT_NEAR(cycles_of({0x48, 0x8b, 0x00}), static_cast<double>(caches_.l1d.latency), 0.2);
}

TEST_F(Timing, OutOfOrderStoreForwardsToTheLoadBehindIt) {
  use<OutOfOrderPipeline>();
  m_.state().gpr[RBX] = 0x5000;
  // mov [rbx], rax; mov rax, [rbx]
  EXPECT_NEAR(cycles_of({0x48, 0x89, 0x03, 0x48, 0x8b, 0x03}), static_cast<double>(parameters_.forward_latency), 0.5);
}

TEST_F(Timing, DividersIntervalBoundsIndependentDivisions) {
  use<OutOfOrderPipeline>();
  m_.state().gpr[RBX] = 3;
  // xor edx, edx; mov eax, 7; div ebx
  EXPECT_NEAR(cycles_of({0x31, 0xd2, 0xb8, 7, 0, 0, 0, 0xf7, 0xf3}), 6, 0.3);
}

/// 90 was XCHG EAX, EAX: a chain of them took a cycle each.
TEST_F(Timing, NopsDoNotWaitForEachOther) {
  use<OutOfOrderPipeline>();
  // Six NOPs and the loop's two instructions: eight, four a cycle.
  EXPECT_NEAR(cycles_of({0x90, 0x90, 0x90, 0x90, 0x90, 0x90}), 2, 0.1);
}

/// CLFLUSH left the modeled caches as they were.
TEST_F(Timing, LoadOfAFlushedLineComesFromMemory) {
  use<OutOfOrderPipeline>();
  m_.state().gpr[RBX] = 0x5000;
  // clflush [rbx]; mfence; mov rax, [rbx]
  EXPECT_GT(cycles_of({0x0f, 0xae, 0x3b, 0x0f, 0xae, 0xf0, 0x48, 0x8b, 0x03}),
            static_cast<double>(caches_.l3.latency + 28));
}

/// Branches 16 bytes apart shared a sixteenth of the sets.
/// A pipeline that has not been told whose core it is sees every reference in its log.
TEST_F(Timing, AHitThatNeedsNoRecordCostsWhatARecordedOneDoes) {
  for (const bool ordered : {true, false}) {
    std::array<u64, 2> cycles{}, hits{};
    for (const bool attached : {false, true}) {
      TestMachine machine;
      MemoryHierarchy memory(caches_, 1, 2'000'000'000, 1);
      BlockPlans plans(parameters_, caches_.l1d.latency, machine.table);
      PipelineState state(parameters_);
      const TimingContext context{parameters_, memory, plans, 7};
      std::unique_ptr<Pipeline> pipeline;
      if (ordered) {
        pipeline = std::make_unique<InOrderPipeline>(context, 0, state);
      } else {
        pipeline = std::make_unique<OutOfOrderPipeline>(context, 0, state);
      }
      if (attached) pipeline->attach(machine.processor.cpu());
      machine.enter_long(0x1000);
      machine.processor.set_block_observer(pipeline.get());
      cycles[attached] = run_loop(machine, one_set);
      hits[attached] = memory.l1d_hits(0, AccessClass::Load);
    }
    EXPECT_EQ(cycles[0], cycles[1]) << "in order: " << ordered;
    EXPECT_EQ(hits[0], hits[1]);
    EXPECT_GT(hits[0], 2 * iterations);
  }
}

TEST(BranchTargets, AsManyAsThereAreEntriesAreKnownWhateverTheirDistance) {
  const BranchPredictorParameters parameters;
  for (const u64 distance : {8, 16, 64, 4096}) {
    BranchPredictor predictor(parameters);
    u32 slot = 0;
    for (unsigned pass = 0; pass < 2; ++pass) {
      for (u64 i = 0; i < parameters.target_entries; ++i) {
        const u64 rip = 0x10'0000 + i * distance;
        predictor.resolve(BranchKind::Direct, rip, rip + 5, rip + distance, slot);
      }
    }
    EXPECT_EQ(predictor.redirected(), parameters.target_entries) << distance;
  }
}

/// All targets of an indirect branch were in one set: no more than it has ways could be told apart.
TEST(BranchTargets, AnIndirectBranchMayHaveMoreTargetsThanASetHasWays) {
  BranchPredictor predictor(BranchPredictorParameters{});
  u32 slot = 0;
  constexpr u64 targets = 16, rounds = 100;
  for (u64 i = 0; i < rounds * targets; ++i) {
    predictor.resolve(BranchKind::Indirect, 0x1000, 0x1002, 0x2000 + i % targets * 16, slot);
  }
  EXPECT_LT(predictor.wrong(), 3 * targets);
}

TEST_F(Timing, TheSameRunTakesTheSameCycles) {
  double cycles[2];
  for (double& c : cycles) {
    TestMachine fresh;
    MemoryHierarchy memory(caches_, 1, 2'000'000'000, 1);
    BlockPlans plans(parameters_, caches_.l1d.latency, fresh.table);
    PipelineState state(parameters_);
    OutOfOrderPipeline pipeline({parameters_, memory, plans, 7}, 0, state);
    fresh.enter_long(0x1000);
    fresh.processor.set_block_observer(&pipeline);
    fresh.memory.write(HostPhysical(0x1000), std::vector<u8>{0xb9, 100, 0, 0, 0, 0xff, 0xc9, 0x75, 0xfc, 0xf4});
    fresh.processor.run(1'000'000);
    c = static_cast<double>(fresh.processor.cycles());
  }
  EXPECT_EQ(cycles[0], cycles[1]);
}

}  // namespace
}  // namespace bunshin
