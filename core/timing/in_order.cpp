#include "core/timing/in_order.h"

#include <algorithm>

namespace bunshin {

InOrderPipeline::InOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : Pipeline(context, core, state), store_buffer_(context.parameters.store_queue) {}

u64 InOrderPipeline::wait_for_results(const BlockPlan& plan) {
  u64 wait = 0;
  for (const Pending& p : pending_) {
    const u8 first = plan.first_use[p.reg];
    if (first != BlockPlan::unused && p.ready > now_ + first) wait = std::max(wait, p.ready - now_ - first);
  }
  return wait;
}

void InOrderPipeline::keep_results(const BlockPlan& plan, u64 end) {
  std::erase_if(pending_, [end](const Pending& p) { return p.ready <= end; });
  for (const BlockPlan::LateResult& late : plan.late) {
    std::erase_if(pending_, [&](const Pending& p) { return p.reg == late.reg; });
    pending_.push_back({late.reg, end + late.cycles});
  }
}

void InOrderPipeline::store(u64 complete) {
  u64& slot = store_buffer_[next_store_];
  if (slot > now_) {
    account_[CycleCause::L1] += slot - now_;
    now_ = slot;
  }
  slot = complete;
  next_store_ = (next_store_ + 1) % store_buffer_.size();
}

const BlockPlan::Entry& InOrderPipeline::entry_of_reference(const BlockPlan& plan, const BlockRun& run, u64 index) {
  for (unsigned i = 0; i < run.completed; ++i) {
    const BlockPlan::Entry& e = plan.entries[i];
    const u64 references = e.operation.loads + u64{e.operation.stores};
    if (index < references || e.operation.open_ended) return e;
    index -= references;
  }
  return plan.entry_left_at(run.completed);
}

void InOrderPipeline::stall_on_references(Log& log, const BlockRun& run, const BlockPlan& plan) {
  for (u64 index = 0; !log.empty(); ++index) {
    const u64 before = now_;
    const bool is_store = log.next_is(MemoryReference::Kind::Store);
    const Visit v = visit(log, now_, run.rip);
    if (is_store) {
      store(v.complete);
    } else if (v.complete > now_ + l1d_latency_) {
      account_[v.cause] += v.complete - l1d_latency_ - now_;
      now_ = v.complete - l1d_latency_;
    }
    if (now_ != before) entry_of_reference(plan, run, index).cycles += now_ - before;
  }
}

u64 InOrderPipeline::block_ran(const BlockRun& run) {
  begin(run);
  now_ = run.cycle;
  const BlockPlan& plan = plans_.of(run.block);
  count_instructions(run.completed);
  plan.count_scheduled_run(run.rip, run.completed);
  const Visit arrival = arrive(run, now_);
  account_[arrival.cause] += arrival.complete - now_;
  now_ = arrival.complete;
  const u64 fetched = fetch(run.block, now_);
  account_[CycleCause::Frontend] += fetched - now_;
  now_ = fetched;

  const u64 wait = wait_for_results(plan);
  const u64 cycles = plan.cycles_of(run.completed);
  const u64 serializing = run.completed == plan.entries.size() ? plan.serializing_cycles : 0;
  account_[CycleCause::Serialize] += serializing;
  account_[CycleCause::Base] += wait + cycles - serializing;
  now_ += wait;
  if (now_ != run.cycle) plan.entries.front().cycles += now_ - run.cycle;
  now_ += cycles;
  Log log(run.references.subspan(run.before));
  stall_on_references(log, run, plan);
  keep_results(plan, now_);

  switch (resolve(plan, run)) {
    case BranchPredictor::Outcome::Right: break;
    case BranchPredictor::Outcome::Redirected:
      account_[CycleCause::Frontend] += parameters_.redirect_penalty;
      plan.entries.back().cycles += parameters_.redirect_penalty;
      now_ += parameters_.redirect_penalty;
      break;
    case BranchPredictor::Outcome::Wrong:
      account_[CycleCause::Branch] += parameters_.mispredict_penalty;
      plan.entries.back().cycles += parameters_.mispredict_penalty;
      now_ += parameters_.mispredict_penalty;
      break;
  }
  end(now_);
  return now_ - run.cycle;
}

void InOrderPipeline::resume() {
  Pipeline::resume();
  pending_.clear();
}

void InOrderPipeline::hash(StateHash& hash) const {
  Pipeline::hash(hash);
  hash.add(now_);
  for (const Pending& p : pending_) {
    hash.add(p.reg);
    hash.add(p.ready);
  }
  for (const u64 free : store_buffer_) hash.add(free);
}

}  // namespace bunshin
