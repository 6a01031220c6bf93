#pragma once

// An in-order pipeline: issues as BlockPlan says, waits for what an earlier block has still to deliver, and stands still
// while a load misses the first level.

#include "core/timing/pipeline.h"

namespace bunshin {

class InOrderPipeline final : public Pipeline {
 public:
  InOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state);
  u64 block_ran(const BlockRun& run) override;
  bool plain_run(const Block& block, u64 rip, u64 next_rip, u64 cycle, unsigned count, u64& cycles);
  Handler entry_handler() const override;
  void resume() override;
  void hash(StateHash& hash) const override;

 private:
  bool wants_hits() const override { return false; }
  /// Cycles that a block whose first instruction could issue in this cycle waits for results of those before it.
  u64 wait_for_results(const BlockPlan& plan, u64 cycle) const {
    return (late_ & plan.use_mask) == 0 || latest_ready_ <= cycle ? 0 : wait_for_uses(plan, cycle);
  }
  u64 wait_for_uses(const BlockPlan& plan, u64 cycle) const;
  void stall_on_references(Log& log, const BlockRun& run, const BlockPlan& plan);
  /// The instruction that made the block's data reference number `index`.
  static const BlockPlan::Entry& entry_of_reference(const BlockPlan& plan, const BlockRun& run, u64 index);
  void store(u64 complete);
  void late_arrival(const BlockRun& run);
  void run_transition(const BlockRun& run, const BlockPlan& plan);
  void keep_results(const BlockPlan& plan, u64 end) {
    if (latest_ready_ <= end) late_ = 0;
    if (plan.late_mask == 0) return;
    late_ |= plan.late_mask;
    latest_ready_ = std::max(latest_ready_, end + plan.latest_late);
    for (const BlockPlan::LateResult& late : plan.late) ready_[late.reg] = end + late.cycles;
  }
  void redirect(const BlockPlan& plan, BranchPredictor::Outcome outcome);

  u64 now_ = 0;
  std::array<u64, depend::count> ready_{};  ///< results that come after the end of the block that computes them
  u64 latest_ready_ = 0;
  u64 late_ = 0;  ///< registers that may still have to come, by bit
  /// When each slot is free again. Stores that hit leave at once and need none.
  std::vector<u64> store_buffer_;
  std::size_t next_store_ = 0;
};

}  // namespace bunshin
