#include "core/timing/pipeline.h"

#include <algorithm>

namespace bunshin {

namespace {

CycleCause cause_of(Level level) {
  switch (level) {
    case Level::L1: return CycleCause::L1;
    case Level::L2: return CycleCause::L2;
    case Level::L3: return CycleCause::L3;
    case Level::Remote: return CycleCause::Remote;
    case Level::Dram: return CycleCause::Dram;
    case Level::Uncached: return CycleCause::Uncached;
  }
  return CycleCause::L1;
}

}  // namespace

Pipeline::Pipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : parameters_(context.parameters),
      memory_(context.memory),
      plans_(context.plans),
      core_(core),
      l2_tlb_latency_(context.l2_tlb_latency),
      l1d_latency_(context.memory.caches(core).l1d.latency()),
      l1i_latency_(context.memory.caches(core).l1i.latency()),
      predictor_(state.predictor),
      account_(state.account),
      state_(state) {}

Pipeline::Visit Pipeline::walk(Log& log, u64 cycle) {
  Visit v{cycle, CycleCause::Walk1};
  unsigned references = 0;
  do {
    const MemoryReference& r = log.take();
    if (r.dimension == 2) v.cause = CycleCause::Walk2;
    const bool update = r.kind == MemoryReference::Kind::TableUpdate;
    v.complete =
        memory_.access(core_, update ? RequestKind::WalkUpdate : RequestKind::Walk, r.physical, v.complete).complete;
    references += update ? 0 : 1;
  } while (log.next_walks());
  ++state_.walks;
  ++state_.walk_references[std::min<std::size_t>(references, state_.walk_references.size() - 1)];
  return v;
}

Pipeline::Visit Pipeline::visit(Log& log, u64 cycle, u64 rip) {
  Visit translation{cycle, CycleCause::Tlb};
  if (log.next_walks()) translation = walk(log, cycle);
  if (log.empty()) return translation;  // a walk that ended in a fault, or for a fetch
  const MemoryReference& r = log.take();
  if (r.tlb == TlbOutcome::SecondLevel) translation.complete += l2_tlb_latency_;
  const bool store = r.kind == MemoryReference::Kind::Store;
  const Reply reply =
      memory_.access(core_, store ? RequestKind::Store : RequestKind::Load, r.physical, translation.complete, rip);
  const u64 translating = translation.complete - cycle;
  const u64 accessing = reply.complete - translation.complete;
  return {reply.complete, translating > accessing ? translation.cause : cause_of(reply.level)};
}

u64 Pipeline::visit_rest(Log& log, u64 cycle, u64 rip) {
  while (!log.empty()) cycle = visit(log, cycle, rip).complete;
  return cycle;
}

Pipeline::Visit Pipeline::arrive(const BlockRun& run, u64 cycle) {
  Log log(run.references.first(run.before));
  const bool event =
      std::any_of(run.references.begin(), run.references.begin() + static_cast<std::ptrdiff_t>(run.before),
                  [](const MemoryReference& r) { return !is_walk(r); });
  u64 end = visit_rest(log, cycle, run.rip) + (event ? parameters_.event_cycles : 0);
  if (run.fetch == TlbOutcome::SecondLevel) end += l2_tlb_latency_;
  return {end, event ? CycleCause::Event : CycleCause::FetchWalk};
}

u64 Pipeline::fetch(const Block& block, u64 cycle) {
  const u64 end = block.physical + block.bytes;
  u64 ready = cycle;
  for (u64 line = line_of(block.physical); line < end; line += line_bytes) {
    if (line == last_line_) continue;
    last_line_ = line;
    // The first level's own latency is part of the pipeline's depth.
    const u64 complete = memory_.fetch(core_, HostPhysical(line), ready).complete;
    ready = std::max(ready, complete - l1i_latency_);
  }
  return ready;
}

BranchPredictor::Outcome Pipeline::resolve(const BlockPlan& plan, const BlockRun& run) {
  if (run.completed != plan.entries.size() || plan.entries.empty()) return BranchPredictor::Outcome::Right;
  const BlockPlan::Entry& last = plan.entries.back();
  if (last.operation.branch == BranchKind::None) return BranchPredictor::Outcome::Right;
  const u64 rip = run.rip + last.offset;
  return predictor_.resolve(last.operation.branch, rip, rip + last.length, run.next_rip);
}

void PipelineState::hash(StateHash& hash) const {
  predictor.hash(hash);
  for (const u64 cycles : account.cycles) hash.add(cycles);
}

void PipelineState::register_stats(StatRegistry& registry, const std::string& prefix) const {
  for (unsigned i = 0; i < cycle_causes; ++i) {
    registry.add(prefix + "cycles." + std::string(cycle_cause_names[i]), account.cycles[i], "cycles",
                 "of the core's time, by cause");
  }
  registry.add(prefix + "instructions", instructions, "instructions", "completed while timed");
  registry.add(prefix + "branches", predictor.branches(), "branches", "resolved");
  registry.add(prefix + "branches.wrong", predictor.wrong(), "branches", "mispredicted");
  registry.add(prefix + "branches.redirected", predictor.redirected(), "branches",
               "taken, with a target that came from the decoder");
  registry.add(prefix + "walks", walks, "walks", "page walks of timed accesses");
  for (unsigned i = 1; i < walk_references.size(); ++i) {
    registry.add(prefix + "walk_references." + std::to_string(i), walk_references[i], "walks",
                 "that read so many paging-structure entries");
  }
}

}  // namespace bunshin
