#pragma once

// An in-order pipeline: issues as BlockPlan says, waits for what an earlier block has still to deliver, and stands still
// while a load misses the first level.

#include "core/timing/pipeline.h"

namespace bunshin {

class InOrderPipeline final : public Pipeline {
 public:
  InOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state);
  u64 block_ran(const BlockRun& run) override;
  void resume() override;
  void hash(StateHash& hash) const override;

 private:
  struct Pending {
    u8 reg = 0;
    u64 ready = 0;
  };
  /// Cycles that the block waits for results of those before it.
  u64 wait_for_results(const BlockPlan& plan);
  void keep_results(const BlockPlan& plan, u64 end);
  void stall_on_references(Log& log, const BlockRun& run, const BlockPlan& plan);
  /// The instruction that made the block's data reference number `index`.
  static const BlockPlan::Entry& entry_of_reference(const BlockPlan& plan, const BlockRun& run, u64 index);
  void store(u64 complete);

  u64 now_ = 0;
  std::vector<Pending> pending_;
  std::vector<u64> store_buffer_;  ///< when each slot is free again
  std::size_t next_store_ = 0;
};

}  // namespace bunshin
