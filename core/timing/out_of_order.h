#pragma once

// An out-of-order pipeline, driven by dependencies: each instruction enters the window when there is room and the front end
// has it, begins when its operands are ready and a port is free, and leaves in order. Loads overlap as far as window,
// queues and the hierarchy's miss registers allow.

#include "core/timing/pipeline.h"

namespace bunshin {

class OutOfOrderPipeline final : public Pipeline {
 public:
  OutOfOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state);
  u64 block_ran(const BlockRun& run) override;
  void resume() override;
  void hash(StateHash& hash) const override;

 private:
  /// Time has passed outside the pipeline (a halt, a device): nothing is in flight any longer.
  void start_at(u64 cycle);
  /// Which ports are taken in the cycles to come.
  class PortCalendar {
   public:
    /// The first cycle from `cycle` on in which one of `ports` is free; takes it for `interval` cycles.
    u64 reserve(u64 cycle, u16 ports, u64 interval);
    /// Nothing before `cycle` will be asked for again.
    void forget_before(u64 cycle);

   private:
    static constexpr u64 span = 2048;
    std::array<u16, span> taken_{};
    u64 base_ = 0;
  };
  /// The last entries of a queue of fixed length: when the one that must be gone for the next to enter is gone.
  class Queue {
   public:
    explicit Queue(u64 size) : gone_(size) {}
    u64 room_at() const { return gone_[at_]; }
    void enter(u64 gone) {
      gone_[at_] = gone;
      if (++at_ == gone_.size()) at_ = 0;
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
  };

  u64 enter_window(const Operation& operation);
  void run_operation(const BlockPlan::Entry& entry, Log& log, u64 rip);
  Flow load(const Operation& operation, Log& log, u64 addresses_ready, u64 rip);
  void store(Log& log, u64 data_ready, u64 retired, u64 rip);
  u64 retire(u64 complete, CycleCause cause);
  void begin_block(const BlockRun& run);
  void redirect_front_end(u64 cycle, CycleCause cause);

  Forward& forward(u64 linear) { return forwards_[(linear >> 3) % forwards_.size()]; }

  std::array<u64, depend::count> ready_{};
  std::array<u16, op_classes> ports_{};
  std::array<u64, op_classes> latency_{}, interval_{};
  PortCalendar calendar_;
  Queue window_, loads_, stores_;
  std::array<Forward, 256> forwards_{};
  u64 front_end_ = 0;  ///< when the next instruction can be had
  CycleCause front_end_cause_ = CycleCause::Frontend;
  u64 entered_ = 0, entered_count_ = 0;  ///< cycle in which the last instruction entered, and how many did
  u64 retired_ = 0, retired_count_ = 0;  ///< the same for leaving
  u64 store_port_ = 0;                   ///< when the cache takes the next store
  u64 last_done_ = 0;                    ///< of the last operation: when a branch has been resolved
  u64 latest_done_ = 0;
};

}  // namespace bunshin
