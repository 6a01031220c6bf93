#include "core/timing/out_of_order.h"

#include <algorithm>

#include "core/engine/observed_entry.h"

namespace bunshin {

OutOfOrderPipeline::OutOfOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : Pipeline(context, core, state),
      groups_(context.parameters),
      per_width_((65536 + context.parameters.width - 1) / context.parameters.width),
      window_(context.parameters.window),
      loads_(context.parameters.load_queue),
      stores_(context.parameters.store_queue) {}

void OutOfOrderPipeline::start_at(u64 cycle) {
  flight_ = {};
  flight_.front_end = flight_.entered = flight_.retired = flight_.last_done = flight_.latest_done = cycle;
  store_port_ = cycle;
  time_.fill(cycle);
  backlog_.fill(0);
  window_.reset(cycle);
  loads_.reset(cycle);
  stores_.reset(cycle);
}

/// An instruction enters in cycle `at` or, if that one is full, in the next. Neither this nor retire() has a branch: whether
/// it is the cycle of the instruction before it is nothing that the host could foresee.
[[gnu::always_inline]] inline void OutOfOrderPipeline::enter_window(u64 at) {
  Flight& f = flight_;
  at += at == f.entered && f.entered_count == parameters_.width ? 1 : 0;
  f.entered_count = at == f.entered ? f.entered_count + 1 : 1;
  f.entered = at;
}

[[gnu::always_inline]] inline void OutOfOrderPipeline::retire(u64 complete, CycleCause cause) {
  Flight& f = flight_;
  u64 at = std::max(complete, f.retired);
  at += at == f.retired && f.retired_count == parameters_.width ? 1 : 0;
  f.retired_count = at == f.retired ? f.retired_count + 1 : 1;
  account_[cause] += at - f.retired;
  f.retired = at;
}

inline u64 OutOfOrderPipeline::reserve_port(OpClass op, u64 entered, u64 operands) {
  const unsigned group = groups_.of[static_cast<unsigned>(op)];
  if (group == PortGroups::none) return operands;
  u64& backlog = backlog_[group];
  const u64 start = std::max(operands, backlog >> 16);
  backlog = std::max(backlog, entered << 16) + groups_.use[static_cast<unsigned>(op)];
  return start;
}

inline OutOfOrderPipeline::Flow OutOfOrderPipeline::load(Log& log, u64 start, u64 rip) {
  Flow flow{start + l1d_latency_, CycleCause::Base};
  u64 word = 0;
  if (log.next_is_hit()) [[likely]] {
    word = log.take_hit().word();
  } else {
    word = log.next_data().linear >> 3 & word_mask;
    const Visit v = visit(log, start, rip);
    if (v.complete > flow.ready) flow = {v.complete, v.cause, v.complete - flow.ready};
  }
  const Forward& f = forward(word);
  // A store that has not left for the cache yet gives its data, not before it has it.
  if (f.word == word && f.gone > start) flow.ready = std::max(start, f.ready) + parameters_.forward_latency;
  loads_.enter(flow.ready);
  return flow;
}

void OutOfOrderPipeline::store(Log& log, u64 data_ready, u64 retired, u64 rip) {
  store_port_ = std::max(store_port_ + 1, retired);
  u64 complete = store_port_ + l1d_latency_;
  u64 word = 0;
  if (log.next_is_hit()) [[likely]] {
    word = log.take_hit().word();
  } else {
    word = log.next_data().linear >> 3 & word_mask;
    // The line is asked for as soon as the store is executed, so that the misses of stores overlap.
    complete = std::max(complete, visit(log, data_ready, rip).complete);
    // Stores leave in order; the next one may follow a cycle later if this one hits, and waits for its line otherwise.
    if (complete > store_port_ + l1d_latency_) store_port_ = complete - l1d_latency_;
  }
  forward(word) = {word, data_ready, complete};
  stores_.enter(complete);
}

void OutOfOrderPipeline::run_operation(const BlockPlan::Entry& entry, Log& log, u64 rip) {
  Flight& f = flight_;
  const Operation& o = entry.operation;
  u64 entered = std::max(std::max(f.entered, f.front_end), window_.room_at());
  if (o.loads != 0) entered = std::max(entered, loads_.room_at());
  if (o.stores != 0) entered = std::max(entered, stores_.room_at());
  if (o.serializing) entered = std::max(entered, f.latest_done);
  enter_window(entered);
  CycleCause cause = f.entered == f.front_end ? f.front_end_cause : CycleCause::Base;
  u64 addresses = f.entered + 1;
  for (unsigned i = 0; i < o.addresses; ++i) addresses = std::max(addresses, time_[o.sources[i]]);
  u64 operands = addresses;
  for (unsigned i = o.addresses; i < o.source_count; ++i) operands = std::max(operands, time_[o.sources[i]]);
  for (unsigned i = 0; i < o.loads; ++i) {
    const u64 start = reserve_port(OpClass::Load, f.entered, addresses);
    const bool made = log.next_is(MemoryReference::Kind::Load);
    const Flow flow = made ? load(log, start, rip) : Flow{start + l1d_latency_, CycleCause::Base};
    if (flow.ready > operands) {
      operands = flow.ready;
      cause = flow.waited != 0 ? flow.cause : cause;
    }
  }
  u64 done = operands;
  if (o.op != OpClass::Load && o.op != OpClass::Nop) {
    const u64 latency = parameters_.classes[static_cast<unsigned>(o.op)].latency;
    done = reserve_port(o.op, f.entered, operands) + latency;
  }
  if (o.open_ended) {
    const u64 rest = entry.loads_after + entry.stores_after;
    while (log.left() > rest && !log.empty()) done = visit(log, done, rip).complete;
  }
  if (o.serializing) {
    done += parameters_.serialize_cycles;
    cause = CycleCause::Serialize;
    f.redirect_front_end(done, CycleCause::Serialize);
  }
  for (unsigned i = 0; i < o.result_count; ++i) time_[o.results[i]] = done;
  f.last_done = done;
  f.latest_done = std::max(f.latest_done, done);
  const u64 before = f.retired;
  retire(done, cause);
  entry.cycles += f.retired - before;
  window_.enter(f.retired);
  for (unsigned i = 0; i < o.stores && log.next_is(MemoryReference::Kind::Store); ++i) {
    store(log, done, f.retired, rip);
  }
}

/// All accesses of a block in program order. Returns the load that came latest beyond a hit in the first level.
inline OutOfOrderPipeline::Flow OutOfOrderPipeline::run_accesses(const BlockPlan& plan, const BlockRun& run, Log& log,
                                                                 u64 retired) {
  const BlockFlow& flow = *plan.flow;
  Flow latest;
  u64* loaded = &time_[BlockFlow::first_load];
  for (const BlockFlow::Access& access : flow.accesses) {
    const u64 time = latest_of(flow, access.first_edge, access.edges);
    const auto kind = access.store ? MemoryReference::Kind::Store : MemoryReference::Kind::Load;
    const bool made = log.next_is(kind);
    const u64 rip = run.rip + plan.entries[access.entry].offset;
    if (access.store) {
      if (made) store(log, time, std::max(time, retired), rip);
      continue;
    }
    const Flow load_flow = made ? load(log, time, rip) : Flow{time + l1d_latency_, CycleCause::Base};
    *loaded++ = load_flow.ready;
    if (load_flow.waited > latest.waited) {
      latest = load_flow;
      latest.entry = access.entry;
    }
  }
  return latest;
}

/// When the block's registers are there; returns when all is done.
inline u64 OutOfOrderPipeline::run_results(const BlockFlow& flow, u64 entered) {
  const std::size_t sources = flow.result_sources.size();
  const u8* const source = flow.result_sources.data();
  std::array<i16, BlockFlow::times> waits;
  u64 longest = 0;
  for (std::size_t i = 0; i < sources; ++i) {
    // What was there before the block entered is as good as there when it did.
    const u64 wait = std::max(time_[source[i]], entered) - entered;
    longest |= wait;
    waits[i] = static_cast<i16>(wait);
  }
  if (longest > static_cast<u64>(BlockFlow::longest)) [[unlikely]]
    return run_far_results(flow, entered);

  u64 done = entered;
  const u8* target = flow.targets.data();
  const BlockFlow::Delays* column = flow.columns.data();
  for (std::size_t left = flow.targets.size(); left != 0;) {
    BlockFlow::Delays times = *column++;
    for (std::size_t i = 0; i < sources; ++i) {
      const BlockFlow::Delays time = *column++ + waits[i];
      times = time > times ? time : times;
    }
    const std::size_t count = std::min<std::size_t>(left, BlockFlow::lanes);
    left -= count;
    for (std::size_t lane = 0; lane < count; ++lane) {
      const u64 time = entered + static_cast<u64>(times[lane]);
      done = std::max(done, time);
      time_[*target++] = time;
    }
  }
  return done;
}

/// The same where somebody waits for longer than a lane can say.
u64 OutOfOrderPipeline::run_far_results(const BlockFlow& flow, u64 entered) {
  const std::size_t sources = flow.result_sources.size();
  std::vector<u64> times;
  for (std::size_t i = 0; i < flow.targets.size(); ++i) {
    const BlockFlow::Delays* const columns = &flow.columns[i / BlockFlow::lanes * (sources + 1)];
    const std::size_t lane = i % BlockFlow::lanes;
    u64 time = entered + static_cast<u64>(std::max<int>(columns[0][lane], 0));
    for (std::size_t s = 0; s < sources; ++s) {
      const int delay = columns[1 + s][lane];
      if (delay >= 0) time = std::max(time, time_[flow.result_sources[s]] + static_cast<u64>(delay));
    }
    times.push_back(time);
  }
  for (std::size_t i = 0; i < times.size(); ++i) time_[flow.targets[i]] = times[i];
  return *std::max_element(times.begin(), times.end());
}

/// A whole block at once: the same as run_operation() for each of its instructions, but that they leave together and that a
/// port group's backlog is looked at once.
void OutOfOrderPipeline::run_flow(const BlockPlan& plan, const BlockRun& run, Log& log, bool branch_wrong) {
  Flight& f = flight_;
  const BlockFlow& flow = *plan.flow;
  u64 at = std::max(std::max(f.entered, f.front_end), window_.room_for(plan.count));
  if (flow.loads != 0) at = std::max(at, loads_.room_for(flow.loads));
  if (flow.stores != 0) at = std::max(at, stores_.room_for(flow.stores));
  const u64 earlier = at == f.entered ? f.entered_count : 0;  // in the same cycle
  const u64 entered = at + (earlier == parameters_.width ? 1 : 0);
  const u64 last_slot = earlier + plan.count - 1;
  f.entered = at + (last_slot * per_width_ >> 16);
  f.entered_count = last_slot - (f.entered - at) * parameters_.width + 1;

  for (const BlockFlow::GroupUse& g : flow.groups) {
    u64& backlog = backlog_[g.group];
    time_[BlockFlow::first_group + g.group] = backlog >> 16;
    backlog = std::max(backlog, entered << 16) + g.use;
  }
  time_[BlockFlow::entry] = entered;
  const Flow slowest = run_accesses(plan, run, log, f.retired);
  // Only who waits for the branch asks when it is done.
  if (branch_wrong) [[unlikely]]
    f.last_done = latest_of(flow, flow.first_branch_edge, flow.branch_edges);
  const u64 done = run_results(flow, entered);
  f.latest_done = std::max(f.latest_done, done);

  const u64 retire_slot = f.retired_count + plan.count - 1;
  const u64 by_width = f.retired + (retire_slot * per_width_ >> 16);
  const u64 before = f.retired;
  f.retired = std::max(by_width, done);
  f.retired_count = f.retired == by_width ? retire_slot - (by_width - before) * parameters_.width + 1 : u64{1};
  account_run(plan, slowest, f.retired - before,
              entered == f.front_end ? entered + 1 - std::min(before, entered + 1) : 0, f.front_end_cause);
  window_.enter(f.retired, plan.count);
}

/// What the cycles by which a block moved retirement on went to: waiting for its slowest load, then for the front end.
inline void OutOfOrderPipeline::account_run(const BlockPlan& plan, const Flow& slowest, u64 cycles, u64 front_end,
                                            CycleCause front_end_cause) {
  const u64 waited = std::min(cycles, slowest.waited);
  if (waited != 0) [[unlikely]] {
    account_[slowest.cause] += waited;
    plan.entries[slowest.entry].cycles += waited;
    cycles -= waited;
  }
  front_end = std::min(cycles, front_end);
  account_[front_end_cause] += front_end;
  plan.entries.front().cycles += front_end;
  account_[CycleCause::Base] += cycles - front_end;
  plan.flow_cycles += cycles - front_end;
}

void OutOfOrderPipeline::begin_block(const BlockRun& run) {
  Flight& f = flight_;
  // A fetch is translated ahead of execution; an event is delivered with nothing in flight.
  const u64 front = std::max(f.front_end, f.entered);
  const Visit fetched = arrive(run, front);
  if (!run.event && run.arrival == nullptr) {
    f.redirect_front_end(fetched.complete, fetched.cause);
    return;
  }
  const u64 end = fetched.complete + std::max(f.latest_done, f.retired) - front;
  f.latest_done = end;
  f.redirect_front_end(end, fetched.cause);
  retire(end, fetched.cause);
}

/// A block of instructions of a virtualization extension: nothing else is in flight while they work.
void OutOfOrderPipeline::run_transition(const BlockPlan& plan, const BlockRun& run, Log& log) {
  Flight& f = flight_;
  const u64 begin = std::max(f.latest_done, f.retired);
  const u64 done = transit(log, begin, *run.work, run.rip);
  const u64 before = f.retired;
  retire(begin, CycleCause::Base);
  retire(done, transition_cause(*run.work));
  f.last_done = f.latest_done = f.retired;
  f.redirect_front_end(f.retired, transition_cause(*run.work));
  plan.entry_left_at(run.completed).cycles += f.retired - before;
}

/// References that no operation claims.
void OutOfOrderPipeline::finish_log(const BlockPlan& plan, const BlockRun& run, Log& log) {
  Flight& f = flight_;
  const u64 done = visit_rest(log, std::max(f.last_done, f.retired), run.rip);
  f.latest_done = std::max(f.latest_done, done);
  const u64 before = f.retired;
  retire(done, CycleCause::Base);
  plan.entry_left_at(run.completed).cycles += f.retired - before;
}

u64 OutOfOrderPipeline::block_ran(const BlockRun& run) {
  begin(run);
  if (run.cycle != flight_.retired) [[unlikely]]
    start_at(run.cycle);
  const BlockPlan& plan = plans_.of(run.block);
  count_instructions(run.completed);
  plan.count_run(run.rip, run.completed);
  Flight& f = flight_;
  if (arrives_late(run)) [[unlikely]] {
    begin_block(run);
    plan.entries.front().cycles += f.retired - run.cycle;
  }
  if (!fetched(plan)) f.redirect_front_end(fetch_lines(plan, std::max(f.front_end, f.entered)), CycleCause::Frontend);

  Log log(run);
  const BranchPredictor::Outcome outcome = resolve(plan, run);
  if (run.completed == plan.count && flow_of(plan).usable) [[likely]] {
    run_flow(plan, run, log, outcome == BranchPredictor::Outcome::Wrong);
  } else {
    for (unsigned i = 0; i < run.completed; ++i) {
      run_operation(plan.entries[i], log, run.rip + plan.entries[i].offset);
    }
  }
  if (run.work != nullptr) [[unlikely]]
    run_transition(plan, run, log);
  else if (!log.empty()) [[unlikely]]
    finish_log(plan, run, log);
  switch (outcome) {
    case BranchPredictor::Outcome::Right:
      // What lies behind a taken branch is fetched a cycle later.
      if (run.next_rip != run.rip + run.block.bytes) f.redirect_front_end(f.entered + 1, CycleCause::Frontend);
      break;
    case BranchPredictor::Outcome::Redirected:
      f.redirect_front_end(f.entered + parameters_.redirect_penalty, CycleCause::Frontend);
      break;
    case BranchPredictor::Outcome::Wrong:
      f.redirect_front_end(f.last_done + parameters_.mispredict_penalty, CycleCause::Branch);
      break;
  }
  end(f.retired);
  return f.retired - run.cycle;
}

Handler OutOfOrderPipeline::entry_handler() const { return run_observed_entry<OutOfOrderPipeline>; }

void OutOfOrderPipeline::resume() {
  Pipeline::resume();
  flight_.retired = ~u64{0};
}

void OutOfOrderPipeline::hash(StateHash& hash) const {
  Pipeline::hash(hash);
  for (const u64 time : time_) hash.add(time);
  for (const u64 backlog : backlog_) hash.add(backlog);
  for (const Queue* queue : {&window_, &loads_, &stores_}) queue->hash(hash);
  for (const Forward& f : forwards_) {
    for (const u64 v : {f.word, f.ready, f.gone}) hash.add(v);
  }
  const Flight& f = flight_;
  for (const u64 v :
       {f.front_end, f.entered, f.entered_count, f.retired, f.retired_count, store_port_, f.latest_done}) {
    hash.add(v);
  }
}

}  // namespace bunshin
