#pragma once

// An out-of-order pipeline, driven by dependencies: each instruction enters the window when there is room and the front end
// has it, begins when its operands are ready and a port is free, and leaves in order. Loads overlap as far as window,
// queues and the hierarchy's miss registers allow.

#include "core/timing/block_flow.h"
#include "core/timing/pipeline.h"

namespace bunshin {

class OutOfOrderPipeline final : public Pipeline {
 public:
  OutOfOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state);
  u64 block_ran(const BlockRun& run) override;
  Handler entry_handler() const override;
  void resume() override;
  void hash(StateHash& hash) const override;

 private:
  bool wants_hits() const override { return true; }
  /// Time has passed outside the pipeline (a halt, a device): nothing is in flight any longer.
  void start_at(u64 cycle);
  /// The last entries of a queue of fixed length: when the one that must be gone for the next to enter is gone.
  class Queue {
   public:
    explicit Queue(u64 size) : gone_(size) {}
    u64 room_at() const { return gone_[at_]; }
    /// The same for the last one of several.
    u64 room_for(u64 count) const {
      u64 i = at_ + std::min<u64>(count, gone_.size()) - 1;
      if (i >= gone_.size()) i -= gone_.size();
      return gone_[i];
    }
    void enter(u64 gone) {
      gone_[at_] = gone;
      if (++at_ == gone_.size()) at_ = 0;
    }
    void enter(u64 gone, u64 count) {
      if (at_ + count >= gone_.size()) [[unlikely]] {
        for (; count != 0; --count) enter(gone);
        return;
      }
      std::fill_n(&gone_[at_], count, gone);
      at_ += count;
    }
    void reset(u64 cycle) { std::fill(gone_.begin(), gone_.end(), cycle); }
    void hash(StateHash& hash) const {
      for (std::size_t i = 0; i < gone_.size(); ++i) hash.add(gone_[(at_ + i) % gone_.size()]);
    }

   private:
    std::vector<u64> gone_;
    std::size_t at_ = 0;
  };
  /// Stores whose data younger loads may take, by 8-byte word.
  struct Forward {
    u64 word = ~u64{0};
    u64 ready = 0;  ///< the data
    u64 gone = 0;   ///< it has left for the cache
  };
  /// What an operation waited for and when it is done.
  struct Flow {
    u64 ready = 0;
    CycleCause cause = CycleCause::Base;
    u64 waited = 0;      ///< cycles beyond a hit in the first level
    unsigned entry = 0;  ///< the instruction, of those of a block
  };

  /// Where the front end and retirement stand.
  struct Flight {
    u64 front_end = 0;                   ///< when the next instruction can be had
    u64 entered = 0, entered_count = 0;  ///< cycle in which the last instruction entered, and how many did
    u64 retired = 0, retired_count = 0;  ///< the same for leaving
    u64 last_done = 0;                   ///< of the last operation: when a branch has been resolved
    u64 latest_done = 0;
    CycleCause front_end_cause = CycleCause::Frontend;

    void redirect_front_end(u64 cycle, CycleCause cause) {
      if (cycle <= front_end) return;
      front_end = cycle;
      front_end_cause = cause;
    }
  };

  void enter_window(u64 at);
  void retire(u64 complete, CycleCause cause);
  /// When an instruction of class `op` begins that entered the window and has its operands at these cycles.
  u64 reserve_port(OpClass op, u64 entered, u64 operands);
  Flow load(Log& log, u64 start, u64 rip);
  void store(Log& log, u64 data_ready, u64 retired, u64 rip);
  void run_operation(const BlockPlan::Entry& entry, Log& log, u64 rip);
  void run_flow(const BlockPlan& plan, const BlockRun& run, Log& log, bool branch_wrong);
  void account_run(const BlockPlan& plan, const Flow& slowest, u64 cycles, u64 front_end, CycleCause front_end_cause);
  Flow run_accesses(const BlockPlan& plan, const BlockRun& run, Log& log, u64 retired);
  /// The latest of what these edges, whole packs of them, say.
  u64 latest_of(const BlockFlow& flow, unsigned first, unsigned count) const {
    u64 time = 0;
    const BlockFlow::Edge* e = &flow.all_edges[first];
    for (const BlockFlow::Edge* const end = e + count; e != end; e += BlockFlow::pack) {
      const u64 a = std::max(time_[e[0].source] + e[0].delay, time_[e[1].source] + e[1].delay);
      const u64 b = std::max(time_[e[2].source] + e[2].delay, time_[e[3].source] + e[3].delay);
      time = std::max(time, std::max(a, b));
    }
    return time;
  }
  u64 run_results(const BlockFlow& flow, u64 entered);
  u64 run_far_results(const BlockFlow& flow, u64 entered);
  const BlockFlow& flow_of(const BlockPlan& plan) const {
    if (plan.flow == nullptr) [[unlikely]]
      plan.flow = std::make_unique<const BlockFlow>(derive_flow(plan, parameters_, groups_));
    return *plan.flow;
  }
  void begin_block(const BlockRun& run);
  void run_transition(const BlockPlan& plan, const BlockRun& run, Log& log);
  void finish_log(const BlockPlan& plan, const BlockRun& run, Log& log);

  /// Of the 8-byte word with this number, of which LineHit::word() keeps this many bits.
  static constexpr u64 word_mask = ~u64{0} >> 4;
  Forward& forward(u64 word) { return forwards_[word % forwards_.size()]; }

  PortGroups groups_;
  u64 per_width_;  ///< 65536 / width, rounded up: divides small numbers by the width
  /// When each source is there (BlockFlow): registers, the running block's loads, the backlog of port groups in whole cycles …
  std::array<u64, BlockFlow::times> time_{};
  std::array<u64, op_classes>
      backlog_{};  ///< … and in 1/65536 cycles: when all work that a group has been given is done
  Queue window_, loads_, stores_;
  std::array<Forward, 256> forwards_{};
  Flight flight_;
  u64 store_port_ = 0;  ///< when the cache takes the next store
};

}  // namespace bunshin
