#pragma once

// The timed half of a machine: memory hierarchy, pipelines, and the caches of translation that only cost time.

#include <memory>
#include <vector>

#include "core/processor.h"
#include "core/timing/pipeline.h"
#include "sim/config/machine_config.h"

namespace bunshin {

class MachineTiming final : public CodeListener {
 public:
  /// `config.machine.timing` is "inorder" or "ooo". Throws std::runtime_error naming the parameter that is impossible.
  MachineTiming(const MachineConfig& config, const OpcodeTable& table);

  /// Times the processor from now on, with everything cold. Between runs.
  void attach(Processor& processor);
  void register_stats(StatRegistry& registry) const;

  // CodeListener
  void page_gained_code(HostPhysical) override {}
  void marked_memory_written(HostPhysical, u64) override {}
  void blocks_cleared() override { plans_.clear(); }

 private:
  struct Core {
    std::unique_ptr<Pipeline> pipeline;
    Mmu::TimedCaches caches;
  };
  std::unique_ptr<Pipeline> make_pipeline(unsigned core);

  const MachineConfig& config_;
  MemoryHierarchy memory_;
  BlockPlans plans_;
  TimingContext context_;
  std::vector<std::unique_ptr<Core>> cores_;
};

}  // namespace bunshin
