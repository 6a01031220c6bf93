#include "sim/walk/walk_experiment.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/check.h"

namespace bunshin {

namespace {

/// Cycles after which nothing of an earlier translation is under way.
constexpr u64 settled = 1'000'000;

/// With the caches off nothing runs ahead either.
MemoryHierarchyParameters hierarchy_of(const WalkSetup& setup, const MachineConfig& config) {
  MemoryHierarchyParameters p = config.caches;
  if (!setup.caches) {
    for (PrefetcherParameters* prefetcher :
         {&p.l1i.prefetcher, &p.l1d.prefetcher, &p.l2.prefetcher, &p.l3.prefetcher}) {
      prefetcher->kind = "none";
    }
  }
  return p;
}

PagingMode stage_mode(const WalkSetup& setup) {
  if (setup.format == SecondStageFormat::Npt) return setup.host.mode;
  return setup.host.mode == PagingMode::FiveLevel ? PagingMode::Ept5Level : PagingMode::Ept4Level;
}

}  // namespace

WalkExperiment::WalkExperiment(const WalkSetup& setup, const MachineConfig& config)
    : setup_(setup),
      tables_(setup),
      hierarchy_(hierarchy_of(setup, config), static_cast<unsigned>(config.machine.cores), config.cpu.frequency,
                 config.machine.seed),
      structures_(config.structure_caches),
      stage_structures_(config.second_stage.structure_caches),
      nested_tlb_(config.second_stage.nested_tlb),
      walker_(tables_.memory()),
      stage_(tables_.memory()) {
  if (setup_.host.present()) prepare_second_stage(config);
  prepare_guest();
  if (setup_.caches) walker_.set_structure_caches(&structures_);
  walker_.set_observer(this);
  stage_.set_observer(this);
}

void WalkExperiment::prepare_second_stage(const MachineConfig&) {
  stage_.set_context({.mode = stage_mode(setup_), .root = tables_.host_root(), .accessed_dirty = true});
  walker_.set_second_stage(&stage_);
  if (!setup_.caches) return;
  // A cache of entries serves both dimensions (mmu/second_stage.h).
  stage_.set_structure_caches(structures_.by_translation() ? &stage_structures_ : &structures_);
  stage_.set_nested_tlb(&nested_tlb_);
}

void WalkExperiment::prepare_guest() {
  PagingContext context;
  context.mode = setup_.guest.mode;
  context.root = setup_.guest.present() ? tables_.guest_root() : 0;
  context.pse = true;
  context.pdptes_in_memory = !setup_.pdpte_registers;
  if (paging_format(context.mode).root_in_registers && setup_.pdpte_registers) {
    SIM_CHECK(walker_.load_pdptes(context.root, context.physical_bits, context.pdptes));
  }
  walker_.set_context(context);
}

Reply WalkExperiment::access(RequestKind kind, HostPhysical address) {
  if (!setup_.caches) hierarchy_.flush_line(0, address, now_, false);
  const Reply reply = hierarchy_.access(0, kind, address, now_);
  now_ = reply.complete;
  return reply;
}

void WalkExperiment::reference(const WalkReference& r) {
  if (r.cached) {
    held_.push_back({r.dimension, r.level, 0, "entry cache"});
  } else {
    const u64 begin = now_;
    const Reply reply = access(r.update ? RequestKind::WalkUpdate : RequestKind::Walk, r.address);
    WalkStep step;
    step.number = static_cast<unsigned>(report_.steps.size()) + 1;
    step.dimension = r.dimension;
    step.level = r.level;
    step.host_physical = r.address.value;
    step.entry = r.entry;
    step.update = r.update;
    step.hit = level_names[static_cast<unsigned>(reply.level)];
    step.cycles = reply.complete - begin;
    report_.steps.push_back(std::move(step));
  }
  if (r.dimension == 1) note_rows(r.level);
}

void WalkExperiment::note_rows(unsigned row) {
  const u64 wanted = report_.entry_addresses[row];
  for (; unassigned_ < report_.steps.size(); ++unassigned_) {
    report_.steps[unassigned_].row = row;
    report_.steps[unassigned_].guest_physical = wanted;
  }
  for (SkippedStep& skipped : held_) skipped.row = row;
  report_.skipped.insert(report_.skipped.end(), held_.begin(), held_.end());
  held_.clear();
}

void WalkExperiment::touch(unsigned neighbour) {
  const u64 begin = now_;
  const u64 address = tables_.address(neighbour);
  const WalkResult result = walker_.walk(Linear(address), {AccessKind::Read, false, false});
  SIM_CHECK(result.outcome == WalkOutcome::Translated);
  const u64 offset = address & ((u64{1} << std::min<unsigned>(result.translation.shift, 62)) - 1);
  const HostPhysical data(result.translation.page.value | offset);
  SIM_CHECK(data == tables_.host_physical(tables_.guest_physical(neighbour)));
  report_.walk_cycles = now_ - begin;
  const Reply reply = access(RequestKind::Load, data);
  report_.data_cycles = now_ - begin - report_.walk_cycles;
  WalkStep step;
  step.number = static_cast<unsigned>(report_.steps.size()) + 1;
  step.host_physical = data.value;
  step.hit = level_names[static_cast<unsigned>(reply.level)];
  step.cycles = report_.data_cycles;
  report_.steps.push_back(std::move(step));
  note_rows(0);
}

WalkReport WalkExperiment::run() {
  for (unsigned neighbour = setup_.caches ? setup_.warm : 0; neighbour > 0; --neighbour) {
    touch(neighbour);
    now_ += settled;
  }
  report_ = {};
  unassigned_ = 0;
  report_.setup = setup_;
  report_.linear = tables_.address();
  report_.guest_physical = tables_.guest_physical().value;
  report_.host_physical = tables_.host_physical(tables_.guest_physical()).value;
  report_.entry_addresses[0] = report_.guest_physical;
  for (unsigned level = 1; level <= setup_.guest.levels(); ++level) {
    report_.entry_addresses[level] = tables_.guest_entry(level).value;
  }
  touch(0);
  note_skipped();
  return report_;
}

const WalkStep* WalkExperiment::step(unsigned row, unsigned dimension, unsigned level) const {
  const auto found = std::ranges::find_if(report_.steps, [&](const WalkStep& s) {
    return s.row == row && s.dimension == dimension && s.level == level && !s.update;
  });
  return found == report_.steps.end() ? nullptr : &*found;
}

std::string WalkExperiment::cache_name(unsigned dimension, unsigned first) const {
  const std::string_view owner = dimension == 2 ? format_name(setup_.format) : setup_.host.present() ? "guest" : "";
  return fmt::format("{}{}{} cache", owner, owner.empty() ? "" : " ", entry_name(first + 1));
}

void WalkExperiment::skip_host_row(unsigned row, bool row_read, const std::string& guest_reason) {
  const std::vector<unsigned> columns = setup_.host_levels();
  unsigned first = 0;  // the level at which the second stage's walk began
  for (const unsigned level : columns) {
    const bool held = std::ranges::any_of(
        report_.skipped, [&](const SkippedStep& s) { return s.row == row && s.dimension == 2 && s.level == level; });
    if (first == 0 && (held || step(row, 2, level) != nullptr)) first = level;
  }
  for (const unsigned level : columns) {
    if (level <= first) return;
    const std::string reason = !row_read ? guest_reason : first == 0 ? "nested TLB" : cache_name(2, first);
    report_.skipped.push_back({2, level, row, reason});
  }
}

/// What the full grid has and this walk has not, and why: a walk begins where the lowest cache that hit says.
void WalkExperiment::note_skipped() {
  unsigned first = 0;
  for (const WalkStep& s : report_.steps) {
    if (s.dimension == 1) first = std::max(first, s.level);
  }
  for (const SkippedStep& s : report_.skipped) {
    if (s.dimension == 1) first = std::max(first, s.level);
  }
  for (unsigned level = setup_.guest.levels(); setup_.guest.present() && level > first; --level) {
    const bool in_register =
        paging_format(setup_.guest.mode).root_in_registers && setup_.pdpte_registers && level == setup_.guest.levels();
    const std::string reason = in_register ? "PDPTE register" : cache_name(1, first);
    skip_host_row(level, false, reason);
    report_.skipped.push_back({1, level, level, reason});
  }
  for (unsigned level = first; level > 0 && level >= setup_.guest.leaf_level(); --level) skip_host_row(level, true, "");
  if (setup_.host.present()) skip_host_row(0, true, "");
}

}  // namespace bunshin
