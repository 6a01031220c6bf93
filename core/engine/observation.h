#pragma once

// Watching a core block by block, for timing models and statistics. While a core is observed its blocks are decoded with one
// record more in front (mode_bit keeps them apart from the others), and every reference to memory is logged. A core that
// is not observed runs no instruction of this.

#include <span>

#include "core/record.h"
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
  TlbOutcome fetch = TlbOutcome::FirstLevel;  ///< of the block's page, if first-level TLBs are modeled
  u64 cr3 = 0;                                ///< when the block was entered
  bool user = false;                          ///< it ran at CPL 3
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

  BlockObserver() = default;
  BlockObserver(const BlockObserver&) = delete;
  BlockObserver& operator=(const BlockObserver&) = delete;
  virtual ~BlockObserver() = default;
};

class Observation {
 public:
  /// Beside CodeMode::key().
  static constexpr u32 mode_bit = 1u << 19;

  void set_observer(BlockObserver* observer) {
    observer_ = observer;
    if (observer != nullptr) log_.reserve();
  }
  bool active() const { return observer_ != nullptr; }
  void waited(u64 cycles) {
    if (observer_ != nullptr) observer_->waited(cycles);
  }
  ReferenceLog& log() { return log_; }

  /// The record in front of an observed block. It is complete only with the block's address, `imm`.
  static Record record();

  /// A block has been entered, by the one before it or by the engine.
  void enter(Cpu& cpu, const Block& block);
  /// Reports the running block, if one is, as left after `completed` instructions, and charges its cycles.
  void finish(Cpu& cpu, unsigned completed, u64 next_rip);
  /// The same for a block that ran to its end.
  void finish(Cpu& cpu);

 private:
  BlockObserver* observer_ = nullptr;
  ReferenceLog log_;
  const Block* block_ = nullptr;
  u64 rip_ = 0;
  u64 cycle_ = 0;
  unsigned count_ = 0;  ///< instructions from its first to its last, or to where it is cut off
  std::size_t before_ = 0;
  TlbOutcome fetch_ = TlbOutcome::FirstLevel;
  u64 cr3_ = 0;
  bool user_ = false;
};

}  // namespace bunshin
