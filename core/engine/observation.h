#pragma once

// Watching a core block by block, for timing models and statistics. While a core is observed its blocks are decoded with one
// record more in front (CodeMode::observed keeps them apart from the others), and every reference to memory is logged, except for
// what an observer itself has put into the line filter (mmu/memory/line_filter.h). A core that is not observed runs no
// instruction of this.

#include <span>

#include "core/record.h"
#include "core/virt/transition.h"
#include "mmu/access.h"
#include "mmu/reference_log.h"

namespace bunshin {

struct Block;

/// What ran since the last report.
struct BlockRun {
  const Block& block;
  u64 rip = 0;             ///< of the block's first instruction
  u64 next_rip = 0;        ///< where execution went on
  u64 cycle = 0;           ///< the core's, when the block was entered
  unsigned completed = 0;  ///< instructions, from the block's first on
  /// References in program order; the first `before` of them were made by the delivery of an event, before the block's first
  /// instruction or its fetch.
  std::span<const MemoryReference> references;
  std::size_t before = 0;
  /// Of the line filter, if ReferenceLog::note_hits() asks for them.
  std::span<const LineHit> hits;
  u32 hits_before = 0;                        ///< so many of them, noted or not, belong to what is before
  bool event = false;                         ///< an exception or interrupt was delivered before the block
  TlbOutcome fetch = TlbOutcome::FirstLevel;  ///< of the block's page, if first-level TLBs are modeled
  u64 cr3 = 0;                                ///< when the block was entered
  bool user = false;                          ///< it ran at CPL 3
  bool guest = false;                         ///< … in a virtual machine
  /// World switches before the block's first instruction, whose references are those `before`; null: none.
  const TransitionCounts* arrival = nullptr;
  /// … and what the block's own instructions did of that kind.
  const TransitionCounts* work = nullptr;
};

/// Runs while the host's MXCSR is the guest's: floating point in an observer would set the guest's exception flags.
class BlockObserver {
 public:
  /// Returns the cycles that the run took; `completed` of them mean no change to functional execution.
  virtual u64 block_ran(const BlockRun& run) = 0;
  /// The observer sees what runs from this cycle of the core on.
  virtual void attached(u64 /*cycle*/) {}
  /// The core was halted for so many cycles.
  virtual void waited(u64 /*cycles*/) {}
  /// From `cycle` on a hosted hypervisor, none of the core's instructions, made these references and computed for so many
  /// cycles. How many that takes in all.
  virtual u64 hosted(u64 /*cycle*/, u64 cycles, std::span<const MemoryReference> /*references*/) { return cycles; }
  /// What stands in front of an observed block: run_observed_entry of the observer's own type (core/engine/observed_entry.h).
  virtual Handler entry_handler() const;

  BlockObserver() = default;
  BlockObserver(const BlockObserver&) = delete;
  BlockObserver& operator=(const BlockObserver&) = delete;
  virtual ~BlockObserver() = default;
};

class Observation {
 public:
  void set_observer(BlockObserver* observer) {
    observer_ = observer;
    arriving_ = work_ = {};
    if (observer != nullptr) log_.reserve();
  }
  bool active() const { return observer_ != nullptr; }
  void waited(u64 cycles) {
    if (observer_ != nullptr) observer_->waited(cycles);
  }
  /// Between blocks: BlockObserver::hosted() of the references logged since the last one.
  u64 hosted(u64 cycle, u64 cycles) {
    if (observer_ == nullptr) return cycles;
    const u64 taken = observer_->hosted(cycle, cycles, log_.references());
    log_.clear();
    return taken;
  }
  ReferenceLog& log() { return log_; }

  /// The record in front of a block that is observed or probed (BlockCache::set_probes) or both. An observed block's is complete
  /// only with the block's address, `imm`.
  Record record(bool probed) const;

  /// An exception or interrupt is delivered, behind the last block and before the next one.
  void note_event() { pending_ |= event_pending; }
  /// Of the running block or, if none runs, in front of the next one.
  void note(Transition transition) {
    if (observer_ != nullptr) note_transition(transition);
  }
  /// The same for what the engine took for the delivery of an event, and was an exit.
  void note_exit(ExitKind kind);
  /// Reports the running block, if one is, as left after `completed` instructions, and charges its cycles.
  void finish(Cpu& cpu, unsigned completed, u64 next_rip);
  /// The same for a block that ran to its end.
  void finish(Cpu& cpu);

 private:
  template <class Observer>
  friend const Record* run_observed_entry(Cpu& cpu, const Record* record);
  friend const Record* run_observed_probe(Cpu& cpu, const Record* record);
  /// A block has been entered, by the one before it or by the engine. False: it has more instructions than may be completed.
  template <class Observer>
  bool enter_for(Observer& observer, Cpu& cpu, const Block& block);
  template <class Observer>
  void finish_for(Observer& observer, Cpu& cpu, unsigned completed, u64 next_rip);
  template <class Observer>
  void finish_with_log(Observer& observer, Cpu& cpu, unsigned completed, u64 next_rip);
  void note_arrival(TlbOutcome fetch, const Cpu& cpu);
  void note_transition(Transition transition);

  BlockObserver* observer_ = nullptr;
  ReferenceLog log_;
  const Block* block_ = nullptr;
  u64 rip_ = 0;
  u64 cycle_ = 0;
  unsigned count_ = 0;  ///< instructions from its first to its last, or to where it is cut off
  /// Since the last block: an event was delivered, something happened that has to do with virtual machines.
  static constexpr u8 event_pending = 1, transition_pending = 2;
  u8 pending_ = 0;
  /// Something stands before the running block's first instruction; only then do those below say what.
  bool late_ = false;
  bool block_event_ = false;
  TlbOutcome fetch_ = TlbOutcome::FirstLevel;
  std::size_t before_ = 0;
  u32 hits_before_ = 0;
  u64 cr3_ = 0;  ///< of the running block; a change of it or of the privilege is something that stands before, too
  bool user_ = false;
  bool guest_ = false;
  TransitionCounts arriving_;        ///< in front of the next block
  TransitionCounts arrived_, work_;  ///< of the running one
};

}  // namespace bunshin
