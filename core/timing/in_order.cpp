#include "core/timing/in_order.h"

#include <algorithm>

#include "core/engine/observed_entry.h"

namespace bunshin {

InOrderPipeline::InOrderPipeline(const TimingContext& context, unsigned core, PipelineState& state)
    : Pipeline(context, core, state), store_buffer_(context.parameters.store_queue) {}

inline u64 InOrderPipeline::wait_for_uses(const BlockPlan& plan, u64 cycle) const {
  u64 wait = 0;
  for (const BlockPlan::FirstUse& use : plan.uses) {
    const u64 needed = cycle + use.cycle;
    if (ready_[use.reg] > needed) wait = std::max(wait, ready_[use.reg] - needed);
  }
  return wait;
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
  for (u64 logged = 0; !log.empty(); ++logged) {
    const u64 before = now_;
    const u64 index = logged + log.hits_passed() - run.hits_before;
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

void InOrderPipeline::run_transition(const BlockRun& run, const BlockPlan& plan) {
  Log log(run);
  const u64 done = transit(log, now_, *run.work, run.rip);
  account_[transition_cause(*run.work)] += done - now_;
  plan.entry_left_at(run.completed).cycles += done - now_;
  now_ = done;
}

void InOrderPipeline::late_arrival(const BlockRun& run) {
  const Visit arrival = arrive(run, now_);
  account_[arrival.cause] += arrival.complete - now_;
  now_ = arrival.complete;
}

void InOrderPipeline::redirect(const BlockPlan& plan, BranchPredictor::Outcome outcome) {
  const bool wrong = outcome == BranchPredictor::Outcome::Wrong;
  const u64 penalty = wrong ? parameters_.mispredict_penalty : parameters_.redirect_penalty;
  account_[wrong ? CycleCause::Branch : CycleCause::Frontend] += penalty;
  plan.entries.back().cycles += penalty;
  now_ += penalty;
}

u64 InOrderPipeline::block_ran(const BlockRun& run) {
  begin(run);
  now_ = run.cycle;
  const BlockPlan& plan = plans_.of(run.block);
  count_instructions(run.completed);
  plan.count_scheduled_run(run.rip, run.completed);
  if (arrives_late(run)) [[unlikely]]
    late_arrival(run);
  const u64 fetched = fetch(plan, now_);
  account_[CycleCause::Frontend] += fetched - now_;
  now_ = fetched;

  const u64 scheduled = plan.cycles_of(run.completed);
  const u64 cycles = scheduled + wait_for_results(plan, now_);
  const u64 serializing = run.completed == plan.count ? plan.serializing_cycles : 0;
  account_[CycleCause::Serialize] += serializing;
  account_[CycleCause::Base] += cycles - serializing;
  now_ += cycles - scheduled;
  if (now_ != run.cycle) plan.entries.front().cycles += now_ - run.cycle;
  now_ += scheduled;
  if (run.work != nullptr) [[unlikely]] {
    run_transition(run, plan);
  } else if (run.references.size() != run.before) {
    Log log(run);
    stall_on_references(log, run, plan);
  }
  keep_results(plan, now_);
  if (const auto outcome = resolve(plan, run); outcome != BranchPredictor::Outcome::Right) [[unlikely]]
    redirect(plan, outcome);
  end(now_);
  return now_ - run.cycle;
}

/// The same as block_ran(), for a run in which only fetch, dependences on earlier blocks and the branch can cost anything.
[[gnu::always_inline]] inline bool InOrderPipeline::plain_run(const Block& block, u64 rip, u64 next_rip, u64 cycle,
                                                              unsigned count, u64& cycles) {
  if (block.plan == nullptr || count != block.plan->count || !continues(cycle)) [[unlikely]]
    return false;
  const BlockPlan& plan = *block.plan;
  count_instructions(count);
  plan.count_scheduled_run(rip, plan.count);
  u64 begin = fetch(plan, cycle);
  if (begin != cycle) [[unlikely]]
    account_[CycleCause::Frontend] += begin - cycle;
  const u64 wait = wait_for_results(plan, begin);
  account_[CycleCause::Base] += wait + plan.cycles - plan.serializing_cycles;
  if (plan.serializing_cycles != 0) [[unlikely]]
    account_[CycleCause::Serialize] += plan.serializing_cycles;
  begin += wait;
  if (begin != cycle) [[unlikely]]
    plan.entries.front().cycles += begin - cycle;
  now_ = begin + plan.cycles;
  keep_results(plan, now_);
  if (const auto outcome = resolve(plan, rip, next_rip); outcome != BranchPredictor::Outcome::Right) [[unlikely]]
    redirect(plan, outcome);
  end(now_);
  cycles = now_ - cycle;
  return true;
}

Handler InOrderPipeline::entry_handler() const { return run_observed_entry<InOrderPipeline>; }

void InOrderPipeline::resume() {
  Pipeline::resume();
  ready_.fill(0);
  latest_ready_ = late_ = 0;
}

void InOrderPipeline::hash(StateHash& hash) const {
  Pipeline::hash(hash);
  hash.add(now_);
  for (const u64 ready : ready_) hash.add(ready);
  for (const u64 free : store_buffer_) hash.add(free);
}

}  // namespace bunshin
