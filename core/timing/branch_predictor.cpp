#include "core/timing/branch_predictor.h"

#include <bit>
#include <stdexcept>

namespace bunshin {

BranchPredictor::BranchPredictor(const BranchPredictorParameters& parameters)
    : parameters_(parameters),
      counters_(u64{1} << parameters.table_bits, 1),
      targets_(parameters.target_entries),
      returns_(parameters.return_stack) {
  const u64 sets = parameters.target_entries / parameters.target_ways;
  if (parameters.target_entries % parameters.target_ways != 0 || !std::has_single_bit(sets)) {
    throw std::runtime_error("target_entries: must be target_ways times a power of two");
  }
  set_mask_ = sets - 1;
  set_bits_ = static_cast<unsigned>(std::countr_zero(sets));
}

bool BranchPredictor::predict_direction(u64 rip, bool taken) {
  const u64 history = history_ & ((u64{1} << parameters_.history_bits) - 1);
  u8& counter = counters_[(rip ^ (rip >> parameters_.table_bits) ^ history) & (counters_.size() - 1)];
  const bool predicted = counter >= 2;
  if (taken && counter < 3) ++counter;
  if (!taken && counter > 0) --counter;
  history_ = history_ << 1 | (taken ? 1 : 0);
  return predicted;
}

u64 BranchPredictor::exchange_target(u64 key, u64 target) {
  // All of the address decides, whatever the distance between branches, and so does the history above it.
  const u64 folded = key ^ key >> set_bits_ ^ key >> 2 * set_bits_ ^ key >> history_shift;
  Target* const set = &targets_[(folded & set_mask_) * parameters_.target_ways];
  Target* victim = set;
  ++clock_;
  for (u64 way = 0; way < parameters_.target_ways; ++way) {
    Target& t = set[way];
    if (t.tag == key) {
      const u64 known = t.target;
      t.target = target;
      t.last_use = clock_;
      return known;
    }
    if (t.last_use < victim->last_use) victim = &t;
  }
  *victim = {key, target, clock_};
  return 0;
}

void BranchPredictor::push_return(u64 rip) { returns_[top_++ % returns_.size()] = rip; }

u64 BranchPredictor::pop_return() { return returns_[--top_ % returns_.size()]; }

BranchPredictor::Outcome BranchPredictor::resolve_kind(BranchKind kind, u64 rip, u64 fall_through, u64 target) {
  switch (kind) {
    case BranchKind::None: return Outcome::Right;
    case BranchKind::Conditional: {
      const bool taken = target != fall_through;
      if (predict_direction(rip, taken) != taken) return Outcome::Wrong;
      return !taken || exchange_target(rip, target) == target ? Outcome::Right : Outcome::Redirected;
    }
    case BranchKind::Call: push_return(fall_through); [[fallthrough]];
    case BranchKind::Direct: return exchange_target(rip, target) == target ? Outcome::Right : Outcome::Redirected;
    case BranchKind::IndirectCall: push_return(fall_through); [[fallthrough]];
    case BranchKind::Indirect: {
      const u64 history = history_ & ((u64{1} << parameters_.indirect_bits) - 1);
      const bool right = exchange_target(rip ^ history << history_shift, target) == target;
      history_ = history_ << 2 ^ (target >> 4 & 0xff);
      return right ? Outcome::Right : Outcome::Wrong;
    }
    case BranchKind::Return: return pop_return() == target ? Outcome::Right : Outcome::Wrong;
  }
  return Outcome::Right;
}

BranchPredictor::Outcome BranchPredictor::resolve(BranchKind kind, u64 rip, u64 fall_through, u64 target) {
  const Outcome outcome = resolve_kind(kind, rip, fall_through, target);
  ++branches_;
  wrong_ += outcome == Outcome::Wrong ? 1 : 0;
  redirected_ += outcome == Outcome::Redirected ? 1 : 0;
  return outcome;
}

void BranchPredictor::hash(StateHash& hash) const {
  hash.add(std::span<const u8>(counters_));
  for (const Target& t : targets_) {
    for (const u64 v : {t.tag, t.target, t.last_use}) hash.add(v);
  }
  for (const u64 r : returns_) hash.add(r);
  hash.add(history_);
  hash.add(top_);
}

}  // namespace bunshin
