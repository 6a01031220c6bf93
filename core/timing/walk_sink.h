#pragma once

// Told what a pipeline charges for the references of page walks, in the order in which the walks were made
// (mmu/walk_listener.h said what they are).

#include "mmu/memory/request_kind.h"
#include "mmu/reference_log.h"

namespace bunshin {

/// Runs while the host's MXCSR is the guest's: no floating point.
class WalkSink {
 public:
  /// From now on walks are charged; `exact` if the pipeline knows which instruction of its block made one.
  virtual void timing_began(bool exact) = 0;
  /// … and from now on no longer.
  virtual void timing_ended() = 0;
  /// A reference begun at `cycle`, for the instruction (or block) at `rip`.
  virtual void charged(const MemoryReference& reference, u64 cycle, const Reply& reply, u64 rip) = 0;

 protected:
  ~WalkSink() = default;
};

}  // namespace bunshin
