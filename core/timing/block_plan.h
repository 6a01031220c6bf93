#pragma once

// A block as the pipelines see it, derived once: its operations, and how an in-order pipeline would issue them if every
// access hit the first-level caches.

#include <algorithm>
#include <deque>
#include <memory>
#include <vector>

#include "core/engine/block_cache.h"
#include "core/timing/hot_instructions.h"
#include "core/timing/pipeline_parameters.h"

namespace bunshin {

struct BlockFlow;

struct alignas(64) BlockPlan {
  struct Entry {
    Operation operation;
    u16 offset = 0;  ///< of the instruction from the block's first byte
    u8 length = 0;
    /// References that the operations behind this one make at least.
    u16 loads_after = 0, stores_after = 0;
    u16 issue = 0;                 ///< cycle, in order
    mutable u64 cycles = 0;        ///< by which it moved the core's time on, beyond what the block is scheduled to take
    mutable u64 partial_runs = 0;  ///< executions in runs that were cut off behind it
  };
  struct LateResult {
    u8 reg = 0;
    u16 cycles = 0;  ///< after the block's end
  };
  struct FirstUse {
    u8 reg = 0;
    u16 cycle = 0;  ///< in order
  };

  BlockPlan();
  BlockPlan(const BlockPlan&) = delete;
  BlockPlan& operator=(const BlockPlan&) = delete;
  ~BlockPlan();

  // What every run of the block looks at comes first, and makes one line of the host's.
  u64 first_line = 0, last_line = 0;  ///< of the host-physical memory that the block lies in
  u64 use_mask = 0, late_mask = 0;    ///< registers in `uses` and `late`, by bit
  // Counted by the pipelines (core/timing/hot_instructions.h).
  mutable u64 scheduled_runs = 0;  ///< whole ones that took `cycles` as scheduled, and what the entries say
  mutable u64 rip = 0;             ///< of the last run
  /// For BranchPredictor::resolve.
  mutable u32 target_slot = 0;
  u16 count = 0;        ///< instructions
  u16 cycles = 0;       ///< in order
  u16 latest_late = 0;  ///< of `late`, in cycles
  u16 branch_offset = 0;
  u8 branch_length = 0;
  BranchKind branch = BranchKind::None;
  bool user = false;

  u16 serializing_cycles = 0;   ///< in order, part of `cycles`
  mutable u64 runs = 0;         ///< whole ones, but for the scheduled
  mutable u64 flow_cycles = 0;  ///< of them, beyond what the entries say
  /// The out-of-order pipeline's view, once it has asked for it.
  mutable std::unique_ptr<const BlockFlow> flow;
  std::vector<LateResult> late;
  /// In order: registers that the block does not itself provide before it needs them.
  std::vector<FirstUse> uses;
  std::vector<Entry> entries;

  // For core/timing/hot_instructions.h.
  u64 physical = 0, second_page = 0;
  u8 bits = 64;
  std::vector<u8> code;  ///< the block's bytes

  /// What `completed` instructions of a run that begins at `rip_now` leave in the counters.
  void count_run(u64 rip_now, unsigned completed) const {
    rip = rip_now;
    if (completed == count) [[likely]] {
      ++runs;
      return;
    }
    for (unsigned i = 0; i < completed; ++i) ++entries[i].partial_runs;
  }
  /// The same in order, where a run's cycles follow from the schedule.
  void count_scheduled_run(u64 rip_now, unsigned completed) const {
    rip = rip_now;
    if (completed == count) [[likely]] {
      ++scheduled_runs;
      return;
    }
    for (unsigned i = 0; i < completed; ++i) {
      ++entries[i].partial_runs;
      entries[i].cycles += scheduled_cycles(i);
    }
  }
  /// The instruction that a run was cut off at, or its last one.
  const Entry& entry_left_at(unsigned completed) const { return entries[std::min<u64>(completed, entries.size() - 1)]; }
  /// In-order cycles between an instruction's predecessor and itself.
  u64 scheduled_cycles(unsigned index) const { return cycles_of(index + 1) - cycles_of(index); }
  /// In-order cycles of the first `completed` instructions.
  u64 cycles_of(unsigned completed) const {
    return completed == count ? cycles : completed == 0 ? 0 : entries[completed - 1].issue + 1u;
  }
};

/// Plans of all blocks of a machine.
class BlockPlans {
 public:
  /// `memory` holds the code of all blocks; without it, hot instructions have no bytes.
  BlockPlans(const PipelineParameters& parameters, u64 load_latency, const OpcodeTable& table,
             const PhysicalMemory* memory = nullptr);

  const BlockPlan& of(const Block& block) {
    if (block.plan == nullptr) [[unlikely]]
      block.plan = &make(block);
    return *block.plan;
  }
  /// All blocks are gone.
  void clear();
  /// All that ran until now.
  HotInstructions hot_instructions() const;

 private:
  const BlockPlan& make(const Block& block);
  void schedule(BlockPlan& plan) const;
  void copy_code(const Block& block, BlockPlan& plan) const;

  const PipelineParameters& parameters_;
  u64 load_latency_;
  const OpcodeTable& table_;
  std::array<u16, op_classes> ports_{};
  const PhysicalMemory* memory_;
  std::deque<BlockPlan> plans_;
  HotInstructions hot_;  ///< of the blocks that are gone
};

}  // namespace bunshin
