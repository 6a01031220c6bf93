#pragma once

// A block as the pipelines see it, derived once: its operations, and how an in-order pipeline would issue them if every
// access hit the first-level caches.

#include <deque>
#include <vector>

#include "core/engine/block_cache.h"
#include "core/timing/pipeline_parameters.h"

namespace bunshin {

struct BlockPlan {
  struct Entry {
    Operation operation;
    u16 offset = 0;  ///< of the instruction from the block's first byte
    u8 length = 0;
    /// References that the operations behind this one make at least.
    u16 loads_after = 0, stores_after = 0;
    u16 issue = 0;  ///< cycle, in order
  };
  struct LateResult {
    u8 reg = 0;
    u16 cycles = 0;  ///< after the block's end
  };
  static constexpr u8 unused = 0xff;

  std::vector<Entry> entries;
  u16 cycles = 0;              ///< in order
  u16 serializing_cycles = 0;  ///< … of them
  /// In order: the cycle in which a register that the block does not itself provide is needed first, capped below `unused`.
  std::array<u8, depend::count> first_use{};
  std::vector<LateResult> late;

  /// In-order cycles of the first `completed` instructions.
  u64 cycles_of(unsigned completed) const {
    return completed == entries.size() ? cycles : completed == 0 ? 0 : entries[completed - 1].issue + 1u;
  }
};

/// Plans of all blocks of a machine.
class BlockPlans {
 public:
  BlockPlans(const PipelineParameters& parameters, u64 load_latency, const OpcodeTable& table);

  const BlockPlan& of(const Block& block) {
    if (block.plan == nullptr) [[unlikely]]
      block.plan = &make(block);
    return *block.plan;
  }
  /// All blocks are gone.
  void clear() { plans_.clear(); }

 private:
  const BlockPlan& make(const Block& block);
  void schedule(BlockPlan& plan) const;

  const PipelineParameters& parameters_;
  u64 load_latency_;
  const OpcodeTable& table_;
  std::array<u16, op_classes> ports_{};
  std::deque<BlockPlan> plans_;
};

}  // namespace bunshin
