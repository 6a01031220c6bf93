#pragma once

// What every timed pipeline has: its way to memory and translation, a branch predictor, and an account of its cycles.
// A pipeline replays what a watched core did, block by block (core/engine/observation.h): the log says which memory was
// touched and which tables were walked, the pipeline says when.

#include <algorithm>
#include <memory>

#include "base/stats.h"
#include "core/engine/observation.h"
#include "core/timing/block_plan.h"
#include "core/timing/branch_predictor.h"
#include "core/timing/statistics.h"
#include "core/timing/walk_sink.h"
#include "mmu/memory/hierarchy.h"

namespace bunshin {

/// What pipelines of one machine share.
struct TimingContext {
  const PipelineParameters& parameters;
  MemoryHierarchy& memory;
  BlockPlans& plans;
  u64 l2_tlb_latency = 0;  ///< cycles of a translation that the first-level TLB lacks and the second has
  u64 walkers = 2;         ///< page walks in flight at once
};

/// What the pipelines of one core have in common: it outlasts a change from one to the other.
struct PipelineState {
  explicit PipelineState(const PipelineParameters& parameters) : predictor(parameters.branch) {}
  void register_stats(StatRegistry& registry, const std::string& prefix) const;
  void hash(StateHash& hash) const;
  /// Everything counted since the machine was built.
  RunCounters counters() const;
  /// Accounts for time that has passed since the last block, up to this cycle of the core. Between runs.
  void settle(u64 cycle);
  /// A block runs at another cycle than the last one ended, or in another address space or privilege level.
  void change(const BlockRun& run);

  BranchPredictor predictor;
  CycleAccount account;
  u64 instructions = 0;
  WalkSink* walk_sink = nullptr;  ///< null: nobody wants to know
  u64 walks = 0;
  u64 walk_references_read = 0;
  u64 walk_cycles = 0;
  std::array<u64, 64> walkers{};          ///< when each page walker is free again
  u64 walker_wait = 0;                    ///< cycles that walks waited for one
  u64 second_level = 0;                   ///< translations that the second-level TLB had
  std::array<u64, 26> walk_references{};  ///< walks by number of references
  TimingStatistics statistics;
  const CoreCounters* caches = nullptr;  ///< the core's own
  u64 end = 0;                           ///< of the last block
  u64 waited = 0;                        ///< cycles halted since then
  u64 hosted = 0;                        ///< … and those of a hosted hypervisor
};

class Pipeline : public BlockObserver {
 public:
  /// `state` must outlive it.
  Pipeline(const TimingContext& context, unsigned core, PipelineState& state);

  /// Whose core it is: its line filter is filled from now on (mmu/memory/line_filter.h). Without, every reference is logged.
  void attach(Cpu& cpu);
  /// The core runs again after a time without this pipeline: nothing is in flight.
  virtual void resume() { last_line_ = ~u64{0}; }
  /// Adds what is in flight.
  virtual void hash(StateHash& hash) const { hash.add(last_line_); }

  // BlockObserver
  void attached(u64 cycle) override {
    state_.end = cycle;
    state_.waited = state_.hosted = 0;
  }
  void waited(u64 cycles) override { state_.waited += cycles; }
  u64 hosted(u64 cycle, u64 cycles, std::span<const MemoryReference> references) override;

 protected:
  /// Every run begins with this …
  void begin(const BlockRun& run) {
    if (run.cycle != state_.end || AddressSpaceId(run.cr3, run.user, run.guest) != state_.statistics.space())
        [[unlikely]]
      state_.change(run);
  }
  /// The same asked: the last one ended here. For runs in the same address space and at the same privilege.
  bool continues(u64 cycle) const { return cycle == state_.end; }
  /// … and ends with this: when the run's last cycle was.
  void end(u64 cycle) { state_.end = cycle; }

  /// References of a block in the order in which they were made: those that were logged in full, and between them those
  /// that the line filter served.
  class Log {
   public:
    explicit Log(std::span<const MemoryReference> references) : references_(references) {}
    explicit Log(const BlockRun& run)
        : references_(run.references.subspan(run.before)),
          hits_(run.hits),
          hit_at_(std::min<std::size_t>(run.hits_before, run.hits.size())) {}
    /// True if the next access to memory was served by the line filter.
    bool next_is_hit() const {
      return hit_at_ < hits_.size() && (at_ == references_.size() || references_[at_].hits_before > hit_at_);
    }
    const LineHit& take_hit() { return hits_[hit_at_++]; }
    /// True if the next reference to memory, behind the walk that it needed, is of this kind.
    bool next_is(MemoryReference::Kind kind) const {
      if (next_is_hit()) return hits_[hit_at_].store() == (kind == MemoryReference::Kind::Store);
      const std::size_t i = data_position();
      return i < references_.size() && references_[i].kind == kind;
    }
    /// The next reference that is not part of a walk and that the line filter did not serve; there must be one.
    const MemoryReference& next_data() const { return references_[data_position()]; }
    bool next_walks() const { return at_ < references_.size() && is_walk(references_[at_]); }
    /// Of the references that the line filter did not serve.
    bool empty() const { return at_ == references_.size(); }
    const MemoryReference& take() { return references_[at_++]; }
    /// Accesses that the line filter served before the next reference.
    u32 hits_passed() const { return references_[at_].hits_before; }
    std::size_t left() const { return references_.size() - at_ + hits_.size() - hit_at_; }

   private:
    std::size_t data_position() const {
      std::size_t i = at_;
      while (i < references_.size() && is_walk(references_[i])) ++i;
      return i;
    }

    std::span<const MemoryReference> references_;
    std::size_t at_ = 0;
    std::span<const LineHit> hits_;
    std::size_t hit_at_ = 0;
  };
  static bool is_walk(const MemoryReference& r) { return r.is_translation(); }

  struct Visit {
    u64 complete = 0;
    /// What most of it went to.
    CycleCause cause = CycleCause::L1;
  };
  /// The next reference, with its translation, from `cycle` on.
  Visit visit(Log& log, u64 cycle, u64 rip);
  /// All that is left, one after the other: microcode. When the last one completes.
  u64 visit_rest(Log& log, u64 cycle, u64 rip);
  /// A world switch: its references, each line of them once and as a stream, then what the switch takes by itself.
  u64 transit(Log& log, u64 cycle, const TransitionCounts& work, u64 rip);
  /// What a block's own instructions of that kind are to be charged to.
  static CycleCause transition_cause(const TransitionCounts& work) {
    return work.exits()                   ? CycleCause::VmExit
           : work[Transition::Entry] != 0 ? CycleCause::VmEntry
                                          : CycleCause::VmControl;
  }
  /// What comes before the block's first instruction: the delivery of an event, a world switch, or the translation of the fetch.
  Visit arrive(const BlockRun& run, u64 cycle);
  /// Fetches the block's lines from `cycle` on, and says when the last one is there. Lines just fetched are not fetched again.
  u64 fetch(const BlockPlan& plan, u64 cycle) {
    if (fetched(plan)) return cycle;
    if (plan.first_line != plan.last_line || !caches_.fetch_plainly(plan.first_line)) [[unlikely]]
      return fetch_lines(plan, cycle);
    last_line_ = plan.first_line;
    return cycle;
  }
  bool fetched(const BlockPlan& plan) const { return plan.first_line == last_line_ && plan.last_line == last_line_; }
  u64 fetch_lines(const BlockPlan& plan, u64 cycle);
  /// The branch at the end of a block at `rip`, if it has one; the whole block ran.
  BranchPredictor::Outcome resolve(const BlockPlan& plan, u64 rip, u64 next_rip) {
    if (plan.branch == BranchKind::None) return BranchPredictor::Outcome::Right;
    const u64 branch = rip + plan.branch_offset;
    return predictor_.resolve(plan.branch, branch, branch + plan.branch_length, next_rip, plan.target_slot);
  }
  BranchPredictor::Outcome resolve(const BlockPlan& plan, const BlockRun& run) {
    return run.completed == plan.count ? resolve(plan, run.rip, run.next_rip) : BranchPredictor::Outcome::Right;
  }
  /// Something stands before the block's first instruction: arrive() says how long it takes.
  static bool arrives_late(const BlockRun& run) {
    return run.before != 0 || run.event || run.fetch != TlbOutcome::FirstLevel || run.arrival != nullptr;
  }

  const PipelineParameters& parameters_;
  MemoryHierarchy& memory_;
  BlockPlans& plans_;
  const unsigned core_;
  const u64 l2_tlb_latency_;
  const u64 walkers_;
  CoreCaches& caches_;  ///< the core's own
  const u64 l1d_latency_;
  const u64 l1i_latency_;
  BranchPredictor& predictor_;
  CycleAccount& account_;
  void count_instructions(u64 n) { state_.instructions += n; }

 private:
  Visit walk(Log& log, u64 cycle, u64 rip);
  Reply go_to_memory(const MemoryReference& r, u64 cycle, u64 rip);
  /// Whether it wants the line filter's hits in its log.
  virtual bool wants_hits() const = 0;

  PipelineState& state_;
  Mmu* mmu_ = nullptr;
  u64 last_line_ = ~u64{0};
  std::vector<u64> moved_;  ///< lines of the world switch being replayed
};

}  // namespace bunshin
