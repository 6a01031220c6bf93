#include "sim/machine_timing.h"

#include <fmt/format.h>

#include "core/timing/in_order.h"
#include "core/timing/out_of_order.h"

namespace bunshin {

MachineTiming::MachineTiming(const MachineConfig& config, const OpcodeTable& table)
    : config_(config),
      memory_(config.caches, static_cast<unsigned>(config.machine.cores), config.cpu.frequency, config.machine.seed),
      plans_(config.pipeline, config.caches.l1d.latency, table),
      context_{config.pipeline, memory_, plans_, config.tlb.latency} {
  for (unsigned i = 0; i < config.machine.cores; ++i) {
    cores_.push_back(std::make_unique<Core>(
        make_pipeline(i), Mmu::TimedCaches{FirstLevelTlb(config.tlb.l1d), FirstLevelTlb(config.tlb.l1i),
                                           StructureCache(config.structure_caches)}));
  }
}

std::unique_ptr<Pipeline> MachineTiming::make_pipeline(unsigned core) {
  if (config_.machine.timing == "ooo") return std::make_unique<OutOfOrderPipeline>(context_, core);
  return std::make_unique<InOrderPipeline>(context_, core);
}

void MachineTiming::attach(Processor& processor) {
  Core& core = *cores_[processor.cpu().number];
  processor.set_block_observer(core.pipeline.get());
  processor.cpu().mmu.set_timed_caches(&core.caches);
}

void MachineTiming::register_stats(StatRegistry& registry) const {
  memory_.register_statistics(registry, "cache");
  for (unsigned i = 0; i < cores_.size(); ++i) {
    const std::string prefix = fmt::format("core{}.timing.", i);
    cores_[i]->pipeline->register_stats(registry, prefix);
    for (unsigned level = 2; level <= 5; ++level) {
      registry.add(fmt::format("{}structure_cache.hits.{}", prefix, level), cores_[i]->caches.structures.hits(level),
                   "walks", "that began below a cached paging-structure entry of this level");
    }
  }
}

}  // namespace bunshin
