#include "core/timing/pipeline.h"

#include <algorithm>

#include "core/cpu.h"

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

/// Of a reference that translates.
RequestKind request_of(MemoryReference::Kind kind) {
  switch (kind) {
    case MemoryReference::Kind::TableUpdate: return RequestKind::WalkUpdate;
    case MemoryReference::Kind::HandlerLoad: return RequestKind::Load;
    case MemoryReference::Kind::HandlerStore: return RequestKind::Store;
    default: return RequestKind::Walk;
  }
}

}  // namespace

Pipeline::Pipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : parameters_(context.parameters),
      memory_(context.memory),
      plans_(context.plans),
      core_(core),
      l2_tlb_latency_(context.l2_tlb_latency),
      walkers_(std::clamp<u64>(context.walkers, 1, state.walkers.size())),
      caches_(context.memory.caches(core)),
      l1d_latency_(caches_.l1d.latency()),
      l1i_latency_(caches_.l1i.latency()),
      predictor_(state.predictor),
      account_(state.account),
      state_(state) {
  state.caches = &memory_.counters(core);
}

Pipeline::Visit Pipeline::walk(Log& log, u64 cycle, u64 rip) {
  // A walk begins when the second level is known to lack the translation, and a walker is free.
  const u64 wanted = cycle + l2_tlb_latency_;
  u64& walker =
      *std::min_element(state_.walkers.begin(), state_.walkers.begin() + static_cast<std::ptrdiff_t>(walkers_));
  const u64 begin = std::max(wanted, walker);
  state_.walker_wait += begin - wanted;
  Visit v{begin, CycleCause::Walk1};
  unsigned references = 0;
  u64 linear = 0;
  unsigned entry_bytes = 8;
  do {
    const MemoryReference& r = log.take();
    if (r.dimension == 2) v.cause = CycleCause::Walk2;
    if (r.kind == MemoryReference::Kind::Delay) {
      v.complete += r.bytes;
      continue;
    }
    const RequestKind request = request_of(r.kind);
    const bool update = request == RequestKind::WalkUpdate || request == RequestKind::Store;
    const Reply reply = memory_.access(core_, request, r.physical, v.complete);
    state_.statistics.walk_reference(r.dimension, r.level, reply.complete - v.complete, reply.level, update);
    if (state_.walk_sink != nullptr) [[unlikely]]
      state_.walk_sink->charged(r, v.complete, reply, rip);
    v.complete = reply.complete;
    references += update ? 0 : 1;
    linear = r.linear;
    entry_bytes = r.bytes;
  } while (log.next_walks());
  walker = v.complete;
  ++state_.walks;
  state_.walk_references_read += references;
  state_.walk_cycles += v.complete - begin;
  state_.statistics.walked(linear, v.complete - begin, entry_bytes);
  ++state_.walk_references[std::min<std::size_t>(references, state_.walk_references.size() - 1)];
  return v;
}

Reply Pipeline::go_to_memory(const MemoryReference& r, u64 cycle, u64 rip) {
  using Kind = MemoryReference::Kind;
  if (r.kind == Kind::LineFlush || r.kind == Kind::LineWriteBack) [[unlikely]] {
    return memory_.flush_line(core_, r.physical, cycle, r.kind == Kind::LineWriteBack);
  }
  return memory_.access(core_, r.kind == Kind::Store ? RequestKind::Store : RequestKind::Load, r.physical, cycle, rip);
}

Pipeline::Visit Pipeline::visit(Log& log, u64 cycle, u64 rip) {
  Visit translation{cycle, CycleCause::Tlb};
  if (log.next_walks()) translation = walk(log, cycle, rip);
  if (log.empty()) return translation;  // a walk that ended in a fault, or for a fetch
  const MemoryReference& r = log.take();
  if (r.tlb == TlbOutcome::SecondLevel) {
    translation.complete += l2_tlb_latency_;
    ++state_.second_level;
    state_.statistics.second_level_hit(r.linear);
  }
  const Reply reply = go_to_memory(r, translation.complete, rip);
  if (mmu_ != nullptr) mmu_->hold_line(r.linear, r.physical);
  const u64 translating = translation.complete - cycle;
  const u64 accessing = reply.complete - translation.complete;
  if (reply.level > Level::L2) [[unlikely]]
    state_.statistics.missed(r.linear, accessing);
  return {reply.complete, translating > accessing ? translation.cause : cause_of(reply.level)};
}

u64 Pipeline::visit_rest(Log& log, u64 cycle, u64 rip) {
  while (!log.empty()) cycle = visit(log, cycle, rip).complete;
  return cycle;
}

Pipeline::Visit Pipeline::arrive(const BlockRun& run, u64 cycle) {
  Log log(run.references.first(run.before));
  u64 end = run.arrival != nullptr ? transit(log, cycle, *run.arrival, run.rip) : visit_rest(log, cycle, run.rip);
  if (run.event) end += parameters_.event_cycles;
  if (run.fetch == TlbOutcome::SecondLevel) {
    end += l2_tlb_latency_;
    ++state_.second_level;
    state_.statistics.second_level_hit(run.rip);
  }
  if (run.arrival != nullptr) return {end, transition_cause(*run.arrival)};
  return {end, run.event ? CycleCause::Event : CycleCause::FetchWalk};
}

u64 Pipeline::transit(Log& log, u64 cycle, const TransitionCounts& work, u64 rip) {
  moved_.clear();
  u64 issue = cycle;
  u64 done = cycle;
  while (!log.empty()) {
    if (log.next_walks()) {
      issue = done = visit(log, std::max(issue, done), rip).complete;
      continue;
    }
    const MemoryReference& r = log.take();
    // State is moved a line at a time, whatever the order in which the manual looks at it.
    const u64 key = line_of(r.physical.value) | (r.kind == MemoryReference::Kind::Store ? 1 : 0);
    if (std::find(moved_.begin(), moved_.end(), key) != moved_.end()) continue;
    moved_.push_back(key);
    done = std::max(done, go_to_memory(r, issue++, rip).complete);
  }
  return done + parameters_.virtualization.cycles(work);
}

u64 Pipeline::fetch_lines(const BlockPlan& plan, u64 cycle) {
  u64 ready = cycle;
  for (u64 line = plan.first_line; line <= plan.last_line; line += line_bytes) {
    if (line == last_line_) continue;
    last_line_ = line;
    if (caches_.fetch_plainly(line)) [[likely]]
      continue;
    // The first level's own latency is part of the pipeline's depth.
    const u64 complete = memory_.fetch(core_, HostPhysical(line), ready).complete;
    ready = std::max(ready, complete - l1i_latency_);
  }
  return ready;
}

void Pipeline::attach(Cpu& cpu) {
  mmu_ = &cpu.mmu;
  cpu.mmu.set_data_cache(&caches_.l1d);
  cpu.observation.log().note_hits(wants_hits());
}

// Loads one after the other: what hypervisors load are mostly pointers and what they point to. Stores are not waited for.
u64 Pipeline::hosted(u64 cycle, u64 cycles, std::span<const MemoryReference> references) {
  u64 at = cycle;
  for (const MemoryReference& r : references) {
    const Reply reply = go_to_memory(r, at, 0);
    at = r.kind == MemoryReference::Kind::Store ? at + 1 : reply.complete;
  }
  const u64 taken = at - cycle + cycles;
  state_.hosted += taken;
  return taken;
}

void PipelineState::settle(u64 cycle) {
  if (cycle > end) {
    const u64 halted = std::min(waited, cycle - end);
    account[CycleCause::Halted] += halted;
    const u64 computed = std::min(hosted, cycle - end - halted);
    account[CycleCause::Hosted] += computed;
    account[CycleCause::Device] += cycle - end - halted - computed;
    end = cycle;
  }
  waited = hosted = 0;
}

void PipelineState::change(const BlockRun& run) {
  settle(run.cycle);
  const AddressSpaceId space(run.cr3, run.user, run.guest);
  if (space != statistics.space()) statistics.change_space(space, run.cycle, counters());
}

RunCounters PipelineState::counters() const {
  const auto misses = [](const LevelCounters& level) {
    u64 sum = 0;
    for (const AccessClass c : {AccessClass::Load, AccessClass::Store, AccessClass::Fetch, AccessClass::Walk})
      sum += level.misses[static_cast<unsigned>(c)];
    return sum;
  };
  RunCounters c;
  c.account = account;
  c[RunCount::Instructions] = instructions;
  c[RunCount::Branches] = predictor.branches();
  c[RunCount::Mispredicted] = predictor.wrong();
  c[RunCount::SecondLevelTlb] = second_level;
  c[RunCount::Walks] = walks;
  c[RunCount::WalkReferences] = walk_references_read;
  c[RunCount::WalkCycles] = walk_cycles;
  if (caches == nullptr) return c;
  c[RunCount::L1iMisses] = misses(caches->l1i);
  c[RunCount::L1dMisses] = misses(caches->l1d);
  c[RunCount::L2Misses] = misses(caches->l2);
  c[RunCount::L3Misses] = misses(caches->l3);
  return c;
}

void PipelineState::hash(StateHash& hash) const {
  predictor.hash(hash);
  for (const u64 cycles : account.cycles) hash.add(cycles);
  for (const u64 cycle : walkers) hash.add(cycle);
}

void PipelineState::register_stats(StatRegistry& registry, const std::string& prefix) const {
  for (unsigned i = 0; i < cycle_causes; ++i) {
    registry.add(prefix + "cycles." + std::string(cycle_cause_names[i]), account.cycles[i], "cycles",
                 "of the core's time, by cause");
  }
  registry.add(prefix + "instructions", instructions, "instructions", "completed while timed");
  registry.add(prefix + "walker_wait", walker_wait, "cycles", "that page walks waited for a walker to be free");
  registry.add(prefix + "branches", predictor.branches(), "branches", "resolved");
  registry.add(prefix + "branches.wrong", predictor.wrong(), "branches", "mispredicted");
  registry.add(prefix + "branches.redirected", predictor.redirected(), "branches",
               "taken, with a target that came from the decoder");
  registry.add(prefix + "tlb.second_level_hits", second_level, "translations",
               "that the first-level TLBs lacked and the second had");
  registry.add(prefix + "walks", walks, "walks", "page walks of timed accesses");
  registry.add(prefix + "walk_references", walk_references_read, "references",
               "paging-structure entries that walks read");
  registry.add(prefix + "walk_cycles", walk_cycles, "cycles", "that walks took, however much of it was hidden");
  for (unsigned i = 1; i < walk_references.size(); ++i) {
    registry.add(prefix + "walk_references." + std::to_string(i), walk_references[i], "walks",
                 "that read so many paging-structure entries");
  }
  statistics.register_stats(registry, prefix, [this] { return counters(); });
}

}  // namespace bunshin
