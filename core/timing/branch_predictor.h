#pragma once

// Where the front end believes that execution goes on: gshare for directions, a branch target buffer, a return stack, and
// targets of indirect branches by history.

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

  /// Predicts the branch at `rip` and learns what it did: went to `target`, which is `fall_through` if not taken.
  Outcome resolve(BranchKind kind, u64 rip, u64 fall_through, u64 target);

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

  bool predict_direction(u64 rip, bool taken);
  /// The buffer's target for this key before it learns `target`; 0 if it has none.
  u64 exchange_target(u64 key, u64 target);
  void push_return(u64 rip);
  u64 pop_return();
  Outcome resolve_kind(BranchKind kind, u64 rip, u64 fall_through, u64 target);

  BranchPredictorParameters parameters_;
  std::vector<u8> counters_;
  std::vector<Target> targets_;
  std::vector<u64> returns_;
  static constexpr unsigned history_shift = 40;  ///< of a target's key, above what tells addresses apart
  u64 set_mask_ = 0;
  unsigned set_bits_ = 0;
  u64 history_ = 0;
  u64 top_ = 0;
  u64 clock_ = 0;
  u64 branches_ = 0, wrong_ = 0, redirected_ = 0;
};

}  // namespace bunshin
