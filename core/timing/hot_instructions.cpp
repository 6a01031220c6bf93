#include "core/timing/hot_instructions.h"

#include <algorithm>

#include "core/timing/block_plan.h"

namespace bunshin {

namespace {

bool hotter(const HotInstruction& a, const HotInstruction& b) {
  if (a.cycles != b.cycles) return a.cycles > b.cycles;
  return std::tuple(a.rip, a.physical, a.bits) < std::tuple(b.rip, b.physical, b.bits);
}

/// Physical address of a byte of the block, which may continue in another page.
u64 physical_at(const BlockPlan& plan, u64 offset) {
  const u64 in_first = page_size - (plan.physical & (page_size - 1));
  return plan.second_page == 0 || offset < in_first ? plan.physical + offset : plan.second_page + (offset - in_first);
}

}  // namespace

void HotInstructions::fold(const BlockPlan& plan) {
  for (unsigned i = 0; i < plan.entries.size(); ++i) {
    const BlockPlan::Entry& e = plan.entries[i];
    const u64 executions = plan.runs + plan.scheduled_runs + e.partial_runs;
    // A whole run out of order is not told apart by instruction: they share its cycles as they would take them in order.
    const u64 shared = plan.cycles == 0 ? 0
                                        : plan.flow_cycles * plan.cycles_of(i + 1) / plan.cycles -
                                              plan.flow_cycles * plan.cycles_of(i) / plan.cycles;
    if (executions == 0 && e.cycles == 0) continue;
    const u64 physical = physical_at(plan, e.offset);
    HotInstruction& h = instructions_[{plan.rip + e.offset, physical, plan.bits}];
    h.rip = plan.rip + e.offset;
    h.physical = physical;
    h.bits = plan.bits;
    h.user = plan.user;
    h.length = e.length;
    if (e.offset + e.length <= plan.code.size()) std::copy_n(plan.code.begin() + e.offset, e.length, h.bytes.begin());
    h.executions += executions;
    h.cycles += e.cycles + shared + plan.scheduled_runs * plan.scheduled_cycles(i);
  }
}

void HotInstructions::shrink() {
  if (instructions_.size() <= capacity) return;
  std::vector<HotInstruction> sorted = hottest();
  for (std::size_t i = capacity; i < sorted.size(); ++i) {
    other_executions_ += sorted[i].executions;
    other_cycles_ += sorted[i].cycles;
    instructions_.erase({sorted[i].rip, sorted[i].physical, sorted[i].bits});
  }
}

std::vector<HotInstruction> HotInstructions::hottest() const {
  std::vector<HotInstruction> sorted;
  sorted.reserve(instructions_.size());
  for (const auto& [key, instruction] : instructions_) sorted.push_back(instruction);
  std::sort(sorted.begin(), sorted.end(), hotter);
  return sorted;
}

}  // namespace bunshin
