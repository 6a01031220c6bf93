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
  Handler entry_handler() const override;
  void resume() override;
  void hash(StateHash& hash) const override;

 private:
  bool wants_hits() const override { return true; }
  /// Time has passed outside the pipeline (a halt, a device): nothing is in flight any longer.
  void start_at(u64 cycle);
  /// Which ports are taken in the cycles to come.
  class PortCalendar {
   public:
    /// The first cycle from `cycle` on in which one of `ports`, those of class `op`, is free; takes it for `interval` cycles.
    u64 reserve(u64 cycle, OpClass op, u16 ports, u64 interval) {
      Full& full = full_[static_cast<unsigned>(op)];
      const bool known = cycle - full.from < full.to - full.from;
      if (known) cycle = full.to;
      const u64 start = cycle;
      u16 free = 0;
      while ((free = static_cast<u16>(ports & ~taken(cycle))) == 0) ++cycle;
      if (cycle != start) full = {known ? full.from : start, cycle};
      const auto port = static_cast<u16>(free & -free);
      take(cycle, port);
      for (u64 i = 1; i < interval; ++i) take(cycle + i, port);
      return cycle;
    }

   private:
    /// Cycles further apart than this share a slot, and the last one asked for has it: what lies so far ahead is not contended.
    static constexpr u64 span = 1024;
    static constexpr unsigned port_bits = 16;
    u16 taken(u64 cycle) const {
      const u64 slot = slots_[cycle % span];
      return slot >> port_bits == cycle ? static_cast<u16>(slot) : u16{0};
    }
    void take(u64 cycle, u16 port) { slots_[cycle % span] = cycle << port_bits | taken(cycle) | port; }
    /// Cycles [from, to) in which no port of a class is free: where a backlog is, nobody searches through all of it.
    struct Full {
      u64 from = 0, to = 0;
    };
    std::array<u64, span> slots_{};  ///< cycle and ports
    std::array<Full, op_classes> full_{};
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

  /// Where the front end and retirement stand, by value: a run works on a copy that the compiler keeps in registers.
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

  void enter_window(u64 at, Flight& f) const;
  void run_simple(const BlockPlan::Entry& entry, Log& log, u64 rip, Flight& f);
  Flow load(Log& log, u64 addresses_ready, u64 rip);
  void store(Log& log, u64 data_ready, u64 retired, u64 rip);
  void retire(u64 complete, CycleCause cause, Flight& f);
  Flight run_operation(const BlockPlan::Entry& entry, Log& log, u64 rip, Flight f);
  Flight begin_block(const BlockRun& run, Flight f);
  Flight finish_log(const BlockPlan& plan, const BlockRun& run, Log& log, Flight f);

  /// Of the 8-byte word with this number, of which LineHit::word() keeps this many bits.
  static constexpr u64 word_mask = ~u64{0} >> 4;
  Forward& forward(u64 word) { return forwards_[word % forwards_.size()]; }

  /// When each register is there; the slots behind them are BlockPlan's for no source and no result.
  std::array<u64, depend::count + 2> ready_{};
  PortCalendar calendar_;
  Queue window_, loads_, stores_;
  u16 load_ports_;
  std::array<Forward, 256> forwards_{};
  Flight flight_;
  u64 store_port_ = 0;  ///< when the cache takes the next store
};

}  // namespace bunshin
