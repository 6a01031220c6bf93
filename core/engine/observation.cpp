#include "core/engine/observation.h"

#include "core/engine/observed_entry.h"

namespace bunshin {

Handler BlockObserver::entry_handler() const { return run_observed_entry<BlockObserver>; }

Record Observation::record() const {
  Record r;
  r.run = observer_->entry_handler();
  return r;
}

void Observation::note_arrival(TlbOutcome fetch, const PagingContext& context) {
  before_ = log_.size();
  hits_before_ = log_.hit_count();
  fetch_ = fetch;
  block_event_ = event_;
  event_ = false;
  cr3_ = context.root;
  user_ = context.user;
}

void Observation::finish(Cpu& cpu, unsigned completed, u64 next_rip) {
  if (block_ == nullptr) return;
  finish_with_log(*observer_, cpu, completed, next_rip);
  block_ = nullptr;
}

void Observation::finish(Cpu& cpu) { finish(cpu, count_, cpu.state.rip); }

}  // namespace bunshin
