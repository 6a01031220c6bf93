#pragma once

// Told of the page walks of one core, whole: for a trace of them.

#include "mmu/access.h"
#include "mmu/walker.h"

namespace bunshin {

/// Runs while the host's MXCSR is the guest's: no floating point.
class WalkListener : public WalkObserver {
 public:
  /// Its references follow (WalkObserver), then its end.
  virtual void walk_began(Linear address, const Access& access, const PagingContext& context) = 0;
  virtual void walk_ended(const WalkResult& result) = 0;

 protected:
  ~WalkListener() = default;
};

}  // namespace bunshin
