#pragma once

// The timed half of a machine: memory hierarchy, pipelines, and the caches of translation that only cost time.

#include <memory>
#include <vector>

#include "core/processor.h"
#include "core/timing/pipeline.h"
#include "devices/tlm/board.h"
#include "sim/config/machine_config.h"
#include "sim/timing_mode.h"

namespace bunshin {

class MachineTiming final : public CodeListener, public DmaTimer {
 public:
  /// Everything cold. Throws std::runtime_error naming the parameter that is impossible.
  MachineTiming(const MachineConfig& config, const OpcodeTable& table, const PhysicalMemory& memory);

  /// Times the processor by `mode`, which is not None, from now on. Between runs. Caches and branch predictor are as they
  /// were when the processor was last timed; first-level TLBs and paging-structure caches are empty then, because nobody
  /// told them what has been invalidated since (docs/regions.md).
  void attach(Processor& processor, TimingMode mode);
  void detach(Processor& processor);
  /// Tells `sink`, which must outlive its use, what the core's walks are charged; null: nobody. Between runs.
  void set_walk_sink(unsigned core, WalkSink* sink);
  void register_stats(StatRegistry& registry) const;
  /// Adds all of it, to the last tag; nothing of that is architectural.
  void hash(StateHash& hash) const;
  MemoryHierarchy& memory() { return memory_; }
  /// Accounts for the time until now of cores that do nothing. Between runs.
  void settle();
  unsigned cores() const { return static_cast<unsigned>(cores_.size()); }
  const PipelineState& state(unsigned core) const { return cores_[core]->state; }
  const BlockPlans& plans() const { return plans_; }

  // DmaTimer
  SimTime transfer(bool write, u64 address, u64 bytes, SimTime start) override;
  // CodeListener
  void page_gained_code(HostPhysical) override {}
  void marked_memory_written(HostPhysical, u64) override {}
  void blocks_cleared() override { plans_.clear(); }

 private:
  struct Core {
    explicit Core(const MachineConfig& config);
    /// The pipeline of `mode`, made when it is first wanted.
    Pipeline& pipeline(TimingMode mode, const TimingContext& context, unsigned number);

    PipelineState state;
    Mmu::TimedCaches caches;
    std::unique_ptr<Pipeline> in_order, out_of_order;
    const Processor* processor = nullptr;     ///< while attached
    TimingMode last_mode = TimingMode::None;  ///< that it was last attached with
  };

  static void tell_walk_sink(const Core& core);

  Clock clock_;
  MemoryHierarchy memory_;
  BlockPlans plans_;
  TimingContext context_;
  std::vector<std::unique_ptr<Core>> cores_;
};

}  // namespace bunshin
