#include "core/timing/block_plan.h"

#include <algorithm>

#include "core/timing/block_flow.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

BlockPlans::BlockPlans(const PipelineParameters& parameters, u64 load_latency, const OpcodeTable& table,
                       const PhysicalMemory* memory)
    : parameters_(parameters), load_latency_(load_latency), table_(table), memory_(memory) {
  for (unsigned i = 0; i < op_classes; ++i) ports_[i] = parameters.classes[i].port_mask();
}

BlockPlan::BlockPlan() = default;
BlockPlan::~BlockPlan() = default;

const BlockPlan& BlockPlans::make(const Block& block) {
  BlockPlan& plan = plans_.emplace_back();
  const Record* first = block.first();
  const u64 count = block.instructions;
  for (u64 i = 0; i < count; ++i) {
    const Record& r = first[i];
    BlockPlan::Entry& e = plan.entries.emplace_back();
    e.operation = describe_operation(table_.row(r.row), r);
    e.offset = r.offset;
    e.length = r.length;
  }
  u16 loads = 0;
  u16 stores = 0;
  for (u64 i = count; i-- > 0;) {
    BlockPlan::Entry& e = plan.entries[i];
    e.loads_after = loads;
    e.stores_after = stores;
    loads = static_cast<u16>(loads + e.operation.loads);
    stores = static_cast<u16>(stores + e.operation.stores);
  }
  plan.first_line = line_of(block.physical);
  plan.last_line = line_of(block.physical + block.bytes - 1);
  plan.count = static_cast<u16>(count);
  if (count != 0) {
    const BlockPlan::Entry& last = plan.entries.back();
    plan.branch = last.operation.branch;
    plan.branch_offset = last.offset;
    plan.branch_length = last.length;
  }
  schedule(plan);
  copy_code(block, plan);
  return plan;
}

void BlockPlans::copy_code(const Block& block, BlockPlan& plan) const {
  // CodeMode::key(): the low byte is the mode, CPL stands in bits 14:13.
  plan.bits = static_cast<u8>(block.mode);
  plan.user = (block.mode >> 13 & 3) == 3;
  plan.physical = block.physical;
  plan.second_page = block.second_page;
  if (memory_ == nullptr) return;
  plan.code.resize(block.bytes);
  const u64 in_first = std::min<u64>(block.bytes, page_size - (block.physical & (page_size - 1)));
  memory_->read(HostPhysical(block.physical), std::span(plan.code).first(in_first));
  if (in_first < block.bytes) memory_->read(HostPhysical(block.second_page), std::span(plan.code).subspan(in_first));
}

void BlockPlans::clear() {
  for (const BlockPlan& plan : plans_) hot_.fold(plan);
  hot_.shrink();
  plans_.clear();
}

HotInstructions BlockPlans::hot_instructions() const {
  HotInstructions hot = hot_;
  for (const BlockPlan& plan : plans_) hot.fold(plan);
  return hot;
}

void BlockPlans::schedule(BlockPlan& plan) const {
  std::array<u64, depend::count> ready{};
  std::array<bool, depend::count> provided{}, used{};
  std::array<u64, issue_ports> port_free{};
  u64 cycle = 0;
  u64 issued = 0;  // in this cycle
  for (BlockPlan::Entry& e : plan.entries) {
    const Operation& o = e.operation;
    const auto op = static_cast<unsigned>(o.op);
    const ClassParameters& c = parameters_.classes[op];
    u64 at = issued == parameters_.width ? cycle + 1 : cycle;
    for (unsigned i = 0; i < o.source_count; ++i) at = std::max(at, ready[o.sources[i]]);
    if (o.serializing) {
      at = std::max(at, *std::max_element(ready.begin(), ready.end()));
      plan.serializing_cycles = static_cast<u16>(plan.serializing_cycles + parameters_.serialize_cycles);
    }
    // Ports: the one that is free first, of those that can do it.
    unsigned best = issue_ports;
    for (unsigned p = 0; p < issue_ports; ++p) {
      if ((ports_[op] >> p & 1) != 0 && (best == issue_ports || port_free[p] < port_free[best])) best = p;
    }
    if (best != issue_ports) {
      at = std::max(at, port_free[best]);
      port_free[best] = at + c.interval;
    }
    for (unsigned i = 0; i < o.source_count; ++i) {
      const u8 reg = o.sources[i];
      if (!provided[reg] && !used[reg]) plan.uses.push_back({reg, static_cast<u16>(std::min<u64>(at, 0xffff))});
      plan.use_mask |= u64{1} << reg;
      used[reg] = true;
    }
    issued = at == cycle ? issued + 1 : 1;
    cycle = at;
    const u64 done = at + c.latency + (o.loads != 0 ? load_latency_ : 0);
    for (unsigned i = 0; i < o.result_count; ++i) {
      ready[o.results[i]] = done;
      provided[o.results[i]] = true;
    }
    if (o.serializing) {
      cycle = done + parameters_.serialize_cycles;
      issued = 0;
    }
    e.issue = static_cast<u16>(std::min<u64>(cycle, 0xfffe));
  }
  plan.cycles = static_cast<u16>(std::min<u64>(cycle + 1, 0xffff));
  for (unsigned r = 0; r < depend::count; ++r) {
    if (!provided[r] || ready[r] <= plan.cycles) continue;
    plan.late_mask |= u64{1} << r;
    plan.late.push_back({static_cast<u8>(r), static_cast<u16>(std::min<u64>(ready[r] - plan.cycles, 0xffff))});
    plan.latest_late = std::max(plan.latest_late, plan.late.back().cycles);
  }
}

}  // namespace bunshin
