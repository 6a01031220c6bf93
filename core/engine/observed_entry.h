#pragma once

// What the record in front of an observed block does (core/engine/observation.h), with the observer's type known: an observer
// that is asked for every block makes its own handler of it, so that nothing of this is an indirect call.

#include "core/cpu.h"
#include "core/engine/dispatch.h"

namespace bunshin {

/// An observer may have a short way for a block that ran whole, with nothing before it and nothing in the log:
///   bool plain_run(const Block&, u64 rip, u64 next_rip, u64 cycle, unsigned count, u64& cycles)
/// answers as block_ran() would, or says no.
template <class Observer>
concept HasPlainRun = requires(Observer& o, const Block& block, u64& cycles) {
  { o.plain_run(block, u64{}, u64{}, u64{}, unsigned{}, cycles) } -> std::same_as<bool>;
};

template <class Observer>
void Observation::finish_with_log(Observer& observer, Cpu& cpu, unsigned completed, u64 next_rip) {
  const std::size_t before = late_ ? before_ : 0;
  const u32 hits_before = late_ ? hits_before_ : 0;
  const u64 cycles =
      observer.block_ran({*block_, rip_, next_rip, cycle_, completed, log_.references(), before, log_.hits(),
                          hits_before, late_ && block_event_, late_ ? fetch_ : TlbOutcome::FirstLevel, cr3_, user_,
                          guest_, late_ && arrived_.any ? &arrived_ : nullptr, work_.any ? &work_ : nullptr});
  cpu.spend(cycles - completed);
  log_.clear();
  if (work_.any) [[unlikely]]
    work_ = {};
}

template <class Observer>
void Observation::finish_for(Observer& observer, Cpu& cpu, unsigned completed, u64 next_rip) {
  u64 cycles = 0;
  if constexpr (HasPlainRun<Observer>) {
    if (!late_ && log_.size() == 0 && observer.plain_run(*block_, rip_, next_rip, cycle_, completed, cycles))
        [[likely]] {
      cpu.spend(cycles - completed);
      log_.clear();
      return;
    }
  }
  finish_with_log(observer, cpu, completed, next_rip);
}

template <class Observer>
bool Observation::enter_for(Observer& observer, Cpu& cpu, const Block& block) {
  const u64 rip = cpu.state.gpr[CpuState::rip_slot];
  if (block_ != nullptr) [[likely]]
    finish_for(observer, cpu, count_, rip);
  if (cpu.completed() > cpu.completed_limit) [[unlikely]] {
    block_ = nullptr;
    cpu.leave = Leave::Limit;
    return false;
  }
  block_ = &block;
  rip_ = rip;
  count_ = static_cast<unsigned>(cpu.entry->imm);
  cycle_ = cpu.deadline - static_cast<u64>(cpu.budget) - count_;
  const TlbOutcome fetch = cpu.mmu.fetch_outcome(cpu.mode.bits == 64 ? rip : cpu.state.segment(Seg::CS).base + rip);
  const PagingContext& context = cpu.mmu.context();
  late_ = pending_ != 0 || fetch != TlbOutcome::FirstLevel || log_.size() + log_.hit_count() != 0 ||
          context.root != cr3_ || context.user != user_;
  if (late_) [[unlikely]]
    note_arrival(fetch, cpu);
  return true;
}

/// The handler for cores that `Observer` observes.
template <class Observer>
const Record* run_observed_entry(Cpu& cpu, const Record* record) {
  Observation& observation = cpu.observation;
  const Block& block = *reinterpret_cast<const Block*>(record->imm);  // NOLINT(performance-no-int-to-ptr)
  if (!observation.enter_for(static_cast<Observer&>(*observation.observer_), cpu, block)) [[unlikely]]
    return leave_block(cpu, record);
  return next(cpu, record);
}

}  // namespace bunshin
