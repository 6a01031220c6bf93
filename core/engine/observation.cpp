#include "core/engine/observation.h"

#include "core/cpu.h"
#include "core/engine/dispatch.h"

namespace bunshin {

namespace {

const Record* run_observed_entry(Cpu& cpu, const Record* record) {
  cpu.observation.enter(cpu, *reinterpret_cast<const Block*>(record->imm));  // NOLINT(performance-no-int-to-ptr)
  return next(cpu, record);
}

}  // namespace

Record Observation::record() {
  Record r;
  r.run = run_observed_entry;
  return r;
}

void Observation::enter(Cpu& cpu, const Block& block) {
  const u64 rip = cpu.state.gpr[CpuState::rip_slot];
  finish(cpu, count_, rip);
  block_ = &block;
  rip_ = rip;
  count_ = static_cast<unsigned>(cpu.entry->imm);
  cycle_ = cpu.deadline - static_cast<u64>(cpu.budget) - count_;
  before_ = log_.size();
  cr3_ = cpu.mmu.context().root;
  user_ = cpu.mmu.context().user;
  fetch_ = cpu.mmu.fetch_outcome(cpu.mode.bits == 64 ? rip : cpu.state.segment(Seg::CS).base + rip);
}

void Observation::finish(Cpu& cpu, unsigned completed, u64 next_rip) {
  if (block_ == nullptr) return;
  const u64 cycles = observer_->block_ran(
      {*block_, rip_, next_rip, cycle_, completed, log_.references(), before_, fetch_, cr3_, user_});
  cpu.spend(cycles - completed);
  block_ = nullptr;
  log_.clear();
}

void Observation::finish(Cpu& cpu) { finish(cpu, count_, cpu.state.rip); }

}  // namespace bunshin
