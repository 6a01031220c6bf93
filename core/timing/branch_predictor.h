#pragma once

// Where the front end believes that execution goes on: gshare for directions, a branch target buffer, a return stack, and
// targets of indirect branches by history.

#include <array>
#include <vector>

#include "base/state_hash.h"
#include "core/timing/pipeline_parameters.h"

namespace bunshin {

class BranchPredictor {
 public:
  enum class Outcome : u8 {
    Right,
    Redirected,  ///< direct and taken, but the target came from the decoder
    Wrong,
  };

  /// Throws std::runtime_error if the geometry is impossible.
  explicit BranchPredictor(const BranchPredictorParameters& parameters);

  /// Predicts the branch at `rip` and learns what it did: went to `target`, which is `fall_through` if not taken. `slot` is
  /// where the target buffer of any core had it last time, 0 if that is not known; a wrong one costs time only.
  Outcome resolve(BranchKind kind, u64 rip, u64 fall_through, u64 target, u32& slot) {
    ++branches_;
    const Outcome outcome = resolve_kind(kind, rip, fall_through, target, slot);
    if (outcome != Outcome::Right) [[unlikely]]
      ++(outcome == Outcome::Wrong ? wrong_ : redirected_);
    return outcome;
  }

  const u64& branches() const { return branches_; }
  const u64& wrong() const { return wrong_; }
  const u64& redirected() const { return redirected_; }
  void hash(StateHash& hash) const;

 private:
  struct Target {
    u64 tag = 0;
    u64 target = 0;
    u64 last_use = 0;
  };

  bool predict_direction(u64 rip, bool taken) {
    u8& counter = counters_[(rip ^ (rip >> table_bits_) ^ (history_ & history_mask_)) & table_mask_];
    const bool predicted = counter >= 2;
    // Two-bit counters that saturate, without a branch that the host would have to predict.
    counter = next_state[counter << 1 | u8{taken}];
    history_ = history_ << 1 | u64{taken};
    return predicted;
  }
  /// Whether the buffer had `target` for this key. It has now.
  bool target_known(u64 key, u64 target, u32& slot) {
    Target& t = targets_[slot];
    if (t.tag != key || t.target != target) [[unlikely]]
      return exchange_target(key, target, slot);
    t.last_use = ++clock_;
    return true;
  }
  bool exchange_target(u64 key, u64 target, u32& slot);
  void push_return(u64 rip) {
    returns_[top_] = rip;
    top_ = top_ + 1 == returns_.size() ? 0 : top_ + 1;
  }
  u64 pop_return() {
    top_ = top_ == 0 ? returns_.size() - 1 : top_ - 1;
    return returns_[top_];
  }
  Outcome resolve_kind(BranchKind kind, u64 rip, u64 fall_through, u64 target, u32& slot) {
    if (kind == BranchKind::Conditional) [[likely]] {
      const bool taken = target != fall_through;
      if (predict_direction(rip, taken) != taken) return Outcome::Wrong;
      return !taken || target_known(rip, target, slot) ? Outcome::Right : Outcome::Redirected;
    }
    return resolve_unconditional(kind, rip, fall_through, target, slot);
  }
  Outcome resolve_unconditional(BranchKind kind, u64 rip, u64 fall_through, u64 target, u32& slot);

  static constexpr std::array<u8, 8> next_state{0, 1, 0, 2, 1, 3, 2, 3};
  BranchPredictorParameters parameters_;
  u64 table_bits_, table_mask_, history_mask_;
  std::vector<u8> counters_;
  std::vector<Target> targets_;
  std::vector<u64> returns_;
  static constexpr unsigned history_shift = 40;  ///< of a target's key, above what tells addresses apart
  u64 set_mask_ = 0;
  unsigned set_bits_ = 0;
  u64 history_ = 0;
  u64 top_ = 0;  ///< of the return stack: where the next address goes
  u64 clock_ = 0;
  u64 branches_ = 0, wrong_ = 0, redirected_ = 0;
};

}  // namespace bunshin
