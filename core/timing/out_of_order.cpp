#include "core/timing/out_of_order.h"

#include <algorithm>

namespace bunshin {

u64 OutOfOrderPipeline::PortCalendar::reserve(u64 cycle, u16 ports, u64 interval) {
  cycle = std::max(cycle, base_);
  // What lies beyond the calendar is not contended.
  const u64 end = base_ + span;
  while (cycle < end && (ports & ~taken_[cycle % span]) == 0) ++cycle;
  if (cycle >= end) return cycle;
  const auto free = static_cast<u16>(ports & ~taken_[cycle % span]);
  const auto port = static_cast<u16>(free & -free);
  for (u64 i = 0; i < interval && cycle + i < end; ++i) taken_[(cycle + i) % span] |= port;
  return cycle;
}

void OutOfOrderPipeline::PortCalendar::forget_before(u64 cycle) {
  if (cycle <= base_) return;
  if (cycle - base_ >= span) {
    taken_.fill(0);
  } else {
    for (u64 c = base_; c < cycle; ++c) taken_[c % span] = 0;
  }
  base_ = cycle;
}

OutOfOrderPipeline::OutOfOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : Pipeline(context, core, state),
      window_(context.parameters.window),
      loads_(context.parameters.load_queue),
      stores_(context.parameters.store_queue) {
  for (unsigned i = 0; i < op_classes; ++i) {
    ports_[i] = context.parameters.classes[i].port_mask();
    latency_[i] = context.parameters.classes[i].latency;
    interval_[i] = context.parameters.classes[i].interval;
  }
}

void OutOfOrderPipeline::start_at(u64 cycle) {
  front_end_ = entered_ = retired_ = store_port_ = last_done_ = latest_done_ = cycle;
  entered_count_ = retired_count_ = 0;
  ready_.fill(cycle);
  window_.reset(cycle);
  loads_.reset(cycle);
  stores_.reset(cycle);
}

u64 OutOfOrderPipeline::enter_window(const Operation& o) {
  u64 at = std::max({entered_, front_end_, window_.room_at()});
  if (o.loads != 0) at = std::max(at, loads_.room_at());
  if (o.stores != 0) at = std::max(at, stores_.room_at());
  if (o.serializing) at = std::max(at, latest_done_);
  if (at == entered_ && entered_count_ == parameters_.width) ++at;
  if (at != entered_) {
    entered_ = at;
    entered_count_ = 0;
    calendar_.forget_before(at);
  }
  ++entered_count_;
  return at;
}

u64 OutOfOrderPipeline::retire(u64 complete, CycleCause cause) {
  u64 at = std::max(complete, retired_);
  if (at == retired_ && retired_count_ == parameters_.width) ++at;
  if (at != retired_) {
    account_[cause] += at - retired_;
    retired_ = at;
    retired_count_ = 0;
  }
  ++retired_count_;
  return at;
}

OutOfOrderPipeline::Flow OutOfOrderPipeline::load(const Operation& o, Log& log, u64 addresses_ready, u64 rip) {
  Flow flow{addresses_ready + l1d_latency_, CycleCause::Base};
  for (unsigned i = 0; i < o.loads && log.next_is(MemoryReference::Kind::Load); ++i) {
    const u64 start = calendar_.reserve(addresses_ready, ports_[static_cast<unsigned>(OpClass::Load)], 1);
    const u64 linear = log.next_data().linear;
    const Visit v = visit(log, start, rip);
    u64 done = v.complete;
    const Forward& f = forward(linear);
    // A store that has not left for the cache yet gives its data, not before it has it.
    if (f.word == linear >> 3 && f.gone > start) done = std::max(start, f.ready) + parameters_.forward_latency;
    if (done > flow.ready) flow = {done, v.cause};
    loads_.enter(done);
  }
  return flow;
}

void OutOfOrderPipeline::store(Log& log, u64 data_ready, u64 retired, u64 rip) {
  const u64 linear = log.next_data().linear;
  store_port_ = std::max(store_port_ + 1, retired);
  const u64 complete = visit(log, store_port_, rip).complete;
  // Stores leave in order; the next one may follow a cycle later if this one hits, and waits for its line otherwise.
  if (complete > store_port_ + l1d_latency_) store_port_ = complete - l1d_latency_;
  forward(linear) = {linear >> 3, data_ready, complete};
  stores_.enter(complete);
}

void OutOfOrderPipeline::run_operation(const BlockPlan::Entry& entry, Log& log, u64 rip) {
  const Operation& o = entry.operation;
  const auto op = static_cast<unsigned>(o.op);
  const u64 entered = enter_window(o);
  CycleCause cause = entered == front_end_ ? front_end_cause_ : CycleCause::Base;
  u64 addresses = entered + 1;
  for (unsigned i = 0; i < o.addresses; ++i) addresses = std::max(addresses, ready_[o.sources[i]]);
  u64 operands = addresses;
  for (unsigned i = o.addresses; i < o.source_count; ++i) operands = std::max(operands, ready_[o.sources[i]]);
  if (o.loads != 0) {
    const Flow flow = load(o, log, addresses, rip);
    if (flow.ready > operands) {
      operands = flow.ready;
      cause = flow.cause;
    }
  }
  u64 done = operands;
  if (o.op != OpClass::Load && o.op != OpClass::Nop) {
    done = calendar_.reserve(operands, ports_[op], interval_[op]) + latency_[op];
  }
  if (o.open_ended) {
    const u64 rest = entry.loads_after + entry.stores_after;
    while (log.left() > rest && !log.empty()) done = visit(log, done, rip).complete;
  }
  if (o.serializing) {
    done += parameters_.serialize_cycles;
    cause = CycleCause::Serialize;
    redirect_front_end(done, CycleCause::Serialize);
  }
  for (unsigned i = 0; i < o.result_count; ++i) ready_[o.results[i]] = done;
  last_done_ = done;
  latest_done_ = std::max(latest_done_, done);
  const u64 before = retired_;
  const u64 retired = retire(done, cause);
  entry.cycles += retired - before;
  window_.enter(retired);
  for (unsigned i = 0; i < o.stores && log.next_is(MemoryReference::Kind::Store); ++i) store(log, done, retired, rip);
}

void OutOfOrderPipeline::redirect_front_end(u64 cycle, CycleCause cause) {
  if (cycle <= front_end_) return;
  front_end_ = cycle;
  front_end_cause_ = cause;
}

void OutOfOrderPipeline::begin_block(const BlockRun& run) {
  if (run.before == 0 && run.fetch == TlbOutcome::FirstLevel) [[likely]]
    return;
  // A fetch is translated ahead of execution; an event is delivered with nothing in flight.
  const Visit fetched = arrive(run, std::max(front_end_, entered_));
  if (fetched.cause != CycleCause::Event) {
    redirect_front_end(fetched.complete, fetched.cause);
    return;
  }
  const u64 end = fetched.complete + std::max(latest_done_, retired_) - std::max(front_end_, entered_);
  latest_done_ = end;
  redirect_front_end(end, CycleCause::Event);
  retire(end, CycleCause::Event);
}

u64 OutOfOrderPipeline::block_ran(const BlockRun& run) {
  begin(run);
  if (run.cycle != retired_) start_at(run.cycle);
  const BlockPlan& plan = plans_.of(run.block);
  count_instructions(run.completed);
  plan.count_run(run.rip, run.completed);
  begin_block(run);
  if (retired_ != run.cycle) plan.entries.front().cycles += retired_ - run.cycle;
  redirect_front_end(fetch(run.block, std::max(front_end_, entered_)), CycleCause::Frontend);

  Log log(run.references.subspan(run.before));
  for (unsigned i = 0; i < run.completed; ++i) run_operation(plan.entries[i], log, run.rip + plan.entries[i].offset);
  if (!log.empty()) {
    const u64 done = visit_rest(log, std::max(last_done_, retired_), run.rip);
    latest_done_ = std::max(latest_done_, done);
    const u64 before = retired_;
    retire(done, CycleCause::Base);
    plan.entry_left_at(run.completed).cycles += retired_ - before;
  }
  switch (resolve(plan, run)) {
    case BranchPredictor::Outcome::Right: break;
    case BranchPredictor::Outcome::Redirected:
      redirect_front_end(entered_ + parameters_.redirect_penalty, CycleCause::Frontend);
      break;
    case BranchPredictor::Outcome::Wrong:
      redirect_front_end(last_done_ + parameters_.mispredict_penalty, CycleCause::Branch);
      break;
  }
  end(retired_);
  return retired_ - run.cycle;
}

void OutOfOrderPipeline::resume() {
  Pipeline::resume();
  retired_ = ~u64{0};
}

void OutOfOrderPipeline::hash(StateHash& hash) const {
  Pipeline::hash(hash);
  for (const u64 ready : ready_) hash.add(ready);
  for (const Queue* queue : {&window_, &loads_, &stores_}) queue->hash(hash);
  for (const Forward& f : forwards_) {
    for (const u64 v : {f.word, f.ready, f.gone}) hash.add(v);
  }
  for (const u64 v : {front_end_, entered_, entered_count_, retired_, retired_count_, store_port_, latest_done_}) {
    hash.add(v);
  }
}

}  // namespace bunshin
