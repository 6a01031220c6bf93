#include "core/timing/out_of_order.h"

#include <algorithm>

#include "core/engine/observed_entry.h"

namespace bunshin {

OutOfOrderPipeline::OutOfOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : Pipeline(context, core, state),
      window_(context.parameters.window),
      loads_(context.parameters.load_queue),
      stores_(context.parameters.store_queue),
      load_ports_(context.parameters.classes[static_cast<unsigned>(OpClass::Load)].port_mask()) {}

void OutOfOrderPipeline::start_at(u64 cycle) {
  flight_ = {};
  flight_.front_end = flight_.entered = flight_.retired = flight_.last_done = flight_.latest_done = cycle;
  store_port_ = cycle;
  ready_.fill(cycle);
  ready_[BlockPlan::no_source] = 0;
  window_.reset(cycle);
  loads_.reset(cycle);
  stores_.reset(cycle);
}

/// An instruction enters in cycle `at` or, if that one is full, in the next. Neither this nor retire() has a branch: whether
/// it is the cycle of the instruction before it is nothing that the host could foresee.
[[gnu::always_inline]] inline void OutOfOrderPipeline::enter_window(u64 at, Flight& f) const {
  at += at == f.entered && f.entered_count == parameters_.width ? 1 : 0;
  f.entered_count = at == f.entered ? f.entered_count + 1 : 1;
  f.entered = at;
}

[[gnu::always_inline]] inline void OutOfOrderPipeline::retire(u64 complete, CycleCause cause, Flight& f) {
  u64 at = std::max(complete, f.retired);
  at += at == f.retired && f.retired_count == parameters_.width ? 1 : 0;
  f.retired_count = at == f.retired ? f.retired_count + 1 : 1;
  account_[cause] += at - f.retired;
  f.retired = at;
}

[[gnu::always_inline]] inline OutOfOrderPipeline::Flow OutOfOrderPipeline::load(Log& log, u64 addresses_ready,
                                                                                u64 rip) {
  const u64 start = calendar_.reserve(addresses_ready, OpClass::Load, load_ports_, 1);
  Flow flow{start + l1d_latency_, start == addresses_ready ? CycleCause::Base : CycleCause::L1};
  u64 word = 0;
  if (log.next_is_hit()) [[likely]] {
    word = log.take_hit().word();
  } else {
    word = log.next_data().linear >> 3 & word_mask;
    const Visit v = visit(log, start, rip);
    if (v.complete > flow.ready) flow = {v.complete, v.cause};
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

/// An instruction of the kind that nearly all are.
[[gnu::always_inline]] inline void OutOfOrderPipeline::run_simple(const BlockPlan::Entry& e, Log& log, u64 rip,
                                                                  Flight& f) {
  u64 entered = std::max(std::max(f.entered, f.front_end), window_.room_at());
  if (e.loads) entered = std::max(entered, loads_.room_at());
  if (e.stores) entered = std::max(entered, stores_.room_at());
  enter_window(entered, f);
  CycleCause cause = f.entered == f.front_end ? f.front_end_cause : CycleCause::Base;
  const u64 addresses = std::max(f.entered + 1, std::max(ready_[e.sources[0]], ready_[e.sources[1]]));
  u64 operands = std::max(addresses, std::max(ready_[e.sources[2]], ready_[e.sources[3]]));
  if (e.loads) {
    const Flow flow = log.next_is(MemoryReference::Kind::Load) ? load(log, addresses, rip)
                                                               : Flow{addresses + l1d_latency_, CycleCause::Base};
    if (flow.ready > operands) {
      operands = flow.ready;
      cause = flow.cause;
    }
  }
  const u64 done =
      e.ports == 0 ? operands : calendar_.reserve(operands, e.operation.op, e.ports, e.interval) + e.latency;
  ready_[e.results[0]] = done;
  ready_[e.results[1]] = done;
  f.last_done = done;
  f.latest_done = std::max(f.latest_done, done);
  const u64 before = f.retired;
  retire(done, cause, f);
  e.cycles += f.retired - before;
  window_.enter(f.retired);
  if (e.stores && log.next_is(MemoryReference::Kind::Store)) store(log, done, f.retired, rip);
}

OutOfOrderPipeline::Flight OutOfOrderPipeline::run_operation(const BlockPlan::Entry& entry, Log& log, u64 rip,
                                                             Flight f) {
  const Operation& o = entry.operation;
  u64 entered = std::max(std::max(f.entered, f.front_end), window_.room_at());
  if (o.loads != 0) entered = std::max(entered, loads_.room_at());
  if (o.stores != 0) entered = std::max(entered, stores_.room_at());
  if (o.serializing) entered = std::max(entered, f.latest_done);
  enter_window(entered, f);
  CycleCause cause = f.entered == f.front_end ? f.front_end_cause : CycleCause::Base;
  u64 addresses = f.entered + 1;
  for (unsigned i = 0; i < o.addresses; ++i) addresses = std::max(addresses, ready_[o.sources[i]]);
  u64 operands = addresses;
  for (unsigned i = o.addresses; i < o.source_count; ++i) operands = std::max(operands, ready_[o.sources[i]]);
  for (unsigned i = 0; i < o.loads; ++i) {
    const bool made = log.next_is(MemoryReference::Kind::Load);
    const Flow flow = made ? load(log, addresses, rip) : Flow{addresses + l1d_latency_, CycleCause::Base};
    if (flow.ready > operands) {
      operands = flow.ready;
      cause = flow.cause;
    }
  }
  u64 done =
      entry.ports == 0 ? operands : calendar_.reserve(operands, o.op, entry.ports, entry.interval) + entry.latency;
  if (o.open_ended) {
    const u64 rest = entry.loads_after + entry.stores_after;
    while (log.left() > rest && !log.empty()) done = visit(log, done, rip).complete;
  }
  if (o.serializing) {
    done += parameters_.serialize_cycles;
    cause = CycleCause::Serialize;
    f.redirect_front_end(done, CycleCause::Serialize);
  }
  for (unsigned i = 0; i < o.result_count; ++i) ready_[o.results[i]] = done;
  f.last_done = done;
  f.latest_done = std::max(f.latest_done, done);
  const u64 before = f.retired;
  retire(done, cause, f);
  entry.cycles += f.retired - before;
  window_.enter(f.retired);
  for (unsigned i = 0; i < o.stores && log.next_is(MemoryReference::Kind::Store); ++i) {
    store(log, done, f.retired, rip);
  }
  return f;
}

OutOfOrderPipeline::Flight OutOfOrderPipeline::begin_block(const BlockRun& run, Flight f) {
  // A fetch is translated ahead of execution; an event is delivered with nothing in flight.
  const u64 front = std::max(f.front_end, f.entered);
  const Visit fetched = arrive(run, front);
  if (fetched.cause != CycleCause::Event) {
    f.redirect_front_end(fetched.complete, fetched.cause);
    return f;
  }
  const u64 end = fetched.complete + std::max(f.latest_done, f.retired) - front;
  f.latest_done = end;
  f.redirect_front_end(end, CycleCause::Event);
  retire(end, CycleCause::Event, f);
  return f;
}

/// References that no operation claims.
OutOfOrderPipeline::Flight OutOfOrderPipeline::finish_log(const BlockPlan& plan, const BlockRun& run, Log& log,
                                                          Flight f) {
  const u64 done = visit_rest(log, std::max(f.last_done, f.retired), run.rip);
  f.latest_done = std::max(f.latest_done, done);
  const u64 before = f.retired;
  retire(done, CycleCause::Base, f);
  plan.entry_left_at(run.completed).cycles += f.retired - before;
  return f;
}

u64 OutOfOrderPipeline::block_ran(const BlockRun& run) {
  begin(run);
  if (run.cycle != flight_.retired) [[unlikely]]
    start_at(run.cycle);
  const BlockPlan& plan = plans_.of(run.block);
  count_instructions(run.completed);
  plan.count_run(run.rip, run.completed);
  Flight f = flight_;
  if (arrives_late(run)) [[unlikely]] {
    f = begin_block(run, f);
    plan.entries.front().cycles += f.retired - run.cycle;
  }
  if (!fetched(plan)) f.redirect_front_end(fetch_lines(plan, std::max(f.front_end, f.entered)), CycleCause::Frontend);

  Log log(run);
  const BlockPlan::Entry* const entries = plan.entries.data();
  for (unsigned i = 0; i < run.completed; ++i) {
    const u64 rip = run.rip + entries[i].offset;
    if (entries[i].simple) [[likely]] {
      run_simple(entries[i], log, rip, f);
    } else {
      f = run_operation(entries[i], log, rip, f);
    }
  }
  if (!log.empty()) [[unlikely]]
    f = finish_log(plan, run, log, f);
  switch (resolve(plan, run)) {
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
  flight_ = f;
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
  for (const u64 ready : ready_) hash.add(ready);
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
