#include "core/engine/observation.h"

#include "core/engine/observed_entry.h"

namespace bunshin {

Handler BlockObserver::entry_handler() const { return run_observed_entry<BlockObserver>; }

namespace {

/// Whether somebody waits for the instruction at the entered block's beginning.
bool stops_at_probe(Cpu& cpu) {
  const u64 rip = cpu.state.gpr[CpuState::rip_slot];
  if (cpu.probe_passed && rip == cpu.probe_rip) {
    cpu.probe_passed = false;
    return false;
  }
  const u64 linear = cpu.mode.bits == 64 ? rip : static_cast<u32>(cpu.state.segment(Seg::CS).base + rip);
  if (!cpu.environment.reached(cpu.number, linear)) return false;
  cpu.probe_rip = rip;
  cpu.probe_passed = true;
  cpu.leave = Leave::Probe;
  return true;
}

const Record* run_probe(Cpu& cpu, const Record* record) {
  if (stops_at_probe(cpu)) return leave_block(cpu, record);
  return next(cpu, record);
}

}  // namespace

/// In front of an observed block: what ran before it is over, whether the core stops or not.
const Record* run_observed_probe(Cpu& cpu, const Record* record) {
  Observation& observation = cpu.observation;
  observation.finish(cpu, observation.count_, cpu.state.gpr[CpuState::rip_slot]);
  if (stops_at_probe(cpu)) return leave_block(cpu, record);
  return observation.observer_->entry_handler()(cpu, record);
}

Record Observation::record(bool probed) const {
  Record r;
  r.run = !active() ? run_probe : probed ? run_observed_probe : observer_->entry_handler();
  return r;
}

void Observation::note_arrival(TlbOutcome fetch, const Cpu& cpu) {
  const PagingContext& context = cpu.mmu.context();
  before_ = log_.size();
  hits_before_ = log_.hit_count();
  fetch_ = fetch;
  block_event_ = (pending_ & event_pending) != 0;
  pending_ = 0;
  arrived_ = arriving_;
  if (arriving_.any) arriving_ = {};
  cr3_ = context.root;
  user_ = context.user;
  guest_ = cpu.guest != nullptr;
}

void Observation::note_transition(Transition transition) {
  pending_ |= transition_pending;
  if (block_ == nullptr) {
    arriving_.add(transition);
    return;
  }
  work_.add(transition);
  if (late_) return;
  // A block that is not as plain as it looked when it was entered.
  late_ = true;
  block_event_ = false;
  fetch_ = TlbOutcome::FirstLevel;
  before_ = 0;
  hits_before_ = 0;
  arrived_.any = false;
}

void Observation::note_exit(ExitKind kind) {
  if (block_ == nullptr) pending_ &= static_cast<u8>(~event_pending);
  note(exit_transition(kind));
}

void Observation::finish(Cpu& cpu, unsigned completed, u64 next_rip) {
  if (block_ == nullptr) return;
  finish_with_log(*observer_, cpu, completed, next_rip);
  block_ = nullptr;
}

void Observation::finish(Cpu& cpu) { finish(cpu, count_, cpu.state.rip); }

}  // namespace bunshin
