#include "core/timing/branch_predictor.h"

#include <bit>
#include <stdexcept>

namespace bunshin {

BranchPredictor::BranchPredictor(const BranchPredictorParameters& parameters)
    : parameters_(parameters),
      table_bits_(parameters.table_bits),
      table_mask_((u64{1} << parameters.table_bits) - 1),
      history_mask_((u64{1} << parameters.history_bits) - 1),
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

bool BranchPredictor::exchange_target(u64 key, u64 target, u32& slot) {
  // All of the address decides, whatever the distance between branches, and so does the history above it.
  const u64 folded = key ^ key >> set_bits_ ^ key >> 2 * set_bits_ ^ key >> history_shift;
  const u64 begin = (folded & set_mask_) * parameters_.target_ways;
  u64 victim = begin;
  ++clock_;
  for (u64 i = begin; i < begin + parameters_.target_ways; ++i) {
    Target& t = targets_[i];
    if (t.tag == key) {
      const bool known = t.target == target;
      t.target = target;
      t.last_use = clock_;
      slot = static_cast<u32>(i);
      return known;
    }
    if (t.last_use < targets_[victim].last_use) victim = i;
  }
  targets_[victim] = {key, target, clock_};
  slot = static_cast<u32>(victim);
  return false;
}

BranchPredictor::Outcome BranchPredictor::resolve_unconditional(BranchKind kind, u64 rip, u64 fall_through, u64 target,
                                                                u32& slot) {
  switch (kind) {
    case BranchKind::Call: push_return(fall_through); [[fallthrough]];
    case BranchKind::Direct: return target_known(rip, target, slot) ? Outcome::Right : Outcome::Redirected;
    case BranchKind::IndirectCall: push_return(fall_through); [[fallthrough]];
    case BranchKind::Indirect: {
      const u64 history = history_ & ((u64{1} << parameters_.indirect_bits) - 1);
      const bool right = target_known(rip ^ history << history_shift, target, slot);
      history_ = history_ << 2 ^ (target >> 4 & 0xff);
      return right ? Outcome::Right : Outcome::Wrong;
    }
    case BranchKind::Return: return pop_return() == target ? Outcome::Right : Outcome::Wrong;
    default: return Outcome::Right;
  }
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
