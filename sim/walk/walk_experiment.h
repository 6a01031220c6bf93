#pragma once

// Makes one translation with the machine's own parts (walkers, paging-structure caches, nested TLB, memory hierarchy)
// on tables built for it, and writes down every reference.

#include <optional>

#include "mmu/memory/hierarchy.h"
#include "mmu/second_stage.h"
#include "mmu/walker.h"
#include "sim/config/machine_config.h"
#include "sim/walk/walk_report.h"
#include "sim/walk/walk_tables.h"

namespace bunshin {

class WalkExperiment final : private WalkObserver {
 public:
  /// Geometry and latencies are the configuration's.
  WalkExperiment(const WalkSetup& setup, const MachineConfig& config);

  /// Once.
  WalkReport run();

 private:
  // WalkObserver
  void reference(const WalkReference& reference) override;

  void prepare_guest();
  void prepare_second_stage(const MachineConfig& config);
  /// Translates and reads the neighbour's data, as a load does that misses the TLBs.
  void touch(unsigned neighbour);
  /// In the hierarchy, from now on; moves the time on.
  Reply access(RequestKind kind, HostPhysical address);
  void note_rows(unsigned row);
  void note_skipped();
  /// Of the cache that let a walk begin at level `first`.
  std::string cache_name(unsigned dimension, unsigned first) const;
  void skip_host_row(unsigned row, bool row_read, const std::string& guest_reason);
  const WalkStep* step(unsigned row, unsigned dimension, unsigned level) const;

  const WalkSetup setup_;
  WalkTables tables_;
  MemoryHierarchy hierarchy_;
  StructureCache structures_;
  StructureCache stage_structures_;
  NestedTlb nested_tlb_;
  Walker walker_;
  SecondStageWalker stage_;
  WalkReport report_;
  std::size_t unassigned_ = 0;     ///< steps from here on have no row yet
  std::vector<SkippedStep> held_;  ///< entries that a cache of entries had, their rows not known yet
  u64 now_ = 0;
};

}  // namespace bunshin
