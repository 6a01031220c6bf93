#include "sim/machine_timing.h"

#include <fmt/format.h>

#include "core/timing/in_order.h"
#include "core/timing/out_of_order.h"

namespace bunshin {

MachineTiming::Core::Core(const MachineConfig& config)
    : state(config.pipeline),
      caches{FirstLevelTlb(config.tlb.l1d),
             FirstLevelTlb(config.tlb.l1i),
             StructureCache(config.structure_caches),
             config.tlb.update_cycles,
             config.structure_caches.latency,
             StructureCache(config.second_stage.structure_caches),
             NestedTlb(config.second_stage.nested_tlb)} {}

Pipeline& MachineTiming::Core::pipeline(TimingMode mode, const TimingContext& context, unsigned number) {
  if (mode == TimingMode::OutOfOrder) {
    if (!out_of_order) out_of_order = std::make_unique<OutOfOrderPipeline>(context, number, state);
    return *out_of_order;
  }
  if (!in_order) in_order = std::make_unique<InOrderPipeline>(context, number, state);
  return *in_order;
}

MachineTiming::MachineTiming(const MachineConfig& config, const OpcodeTable& table, const PhysicalMemory& memory)
    : clock_{config.cpu.frequency},
      memory_(config.caches, static_cast<unsigned>(config.machine.cores), config.cpu.frequency, config.machine.seed),
      plans_(config.pipeline, config.caches.l1d.latency, table, &memory),
      context_{config.pipeline, memory_, plans_, config.tlb.latency, config.tlb.walkers} {
  for (unsigned i = 0; i < config.machine.cores; ++i) cores_.push_back(std::make_unique<Core>(config));
}

void MachineTiming::attach(Processor& processor, TimingMode mode) {
  const unsigned number = processor.cpu().number;
  Core& core = *cores_[number];
  Pipeline& pipeline = core.pipeline(mode, context_, number);
  pipeline.resume();
  pipeline.attach(processor.cpu());
  processor.set_block_observer(&pipeline);
  core.last_mode = mode;
  if (core.processor != nullptr) return tell_walk_sink(core);
  processor.cpu().mmu.set_timed_caches(&core.caches);
  core.processor = &processor;
  tell_walk_sink(core);
}

void MachineTiming::detach(Processor& processor) {
  processor.set_block_observer(nullptr);
  processor.cpu().mmu.set_timed_caches(nullptr);
  Core& core = *cores_[processor.cpu().number];
  core.state.settle(processor.cycles());
  core.processor = nullptr;
  tell_walk_sink(core);
}

SimTime MachineTiming::transfer(bool write, u64 address, u64 bytes, SimTime start) {
  return clock_.at(memory_.dma(write, HostPhysical(address), bytes, clock_.tick_from(start)));
}

void MachineTiming::settle() {
  for (const auto& core : cores_) {
    if (core->processor != nullptr) core->state.settle(core->processor->cycles());
  }
}

void MachineTiming::set_walk_sink(unsigned core, WalkSink* sink) {
  cores_[core]->state.walk_sink = sink;
  tell_walk_sink(*cores_[core]);
}

void MachineTiming::tell_walk_sink(const Core& core) {
  WalkSink* sink = core.state.walk_sink;
  if (sink == nullptr) return;
  core.processor != nullptr ? sink->timing_began(core.last_mode == TimingMode::OutOfOrder) : sink->timing_ended();
}

void MachineTiming::register_stats(StatRegistry& registry) const {
  memory_.register_statistics(registry, "cache");
  for (unsigned i = 0; i < cores_.size(); ++i) {
    const std::string prefix = fmt::format("core{}.timing.", i);
    cores_[i]->state.register_stats(registry, prefix);
    cores_[i]->caches.register_statistics(registry, prefix);
  }
}

void MachineTiming::hash(StateHash& hash) const {
  memory_.hash(hash);
  for (const auto& core : cores_) {
    core->state.hash(hash);
    core->caches.hash(hash);
    for (const Pipeline* pipeline : {core->in_order.get(), core->out_of_order.get()}) {
      if (pipeline != nullptr) pipeline->hash(hash);
    }
  }
}

}  // namespace bunshin
