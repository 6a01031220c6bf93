#pragma once

// A block as the out-of-order pipeline sees it, derived once: the time of each of its results as the latest of a few sums
// (max-plus algebra), instead of instruction by instruction. The time of a result is
//   max(entered + base, time[source] + delay for each of its edges)
// where sources are the registers that the block needs from before, its own loads, and groups of ports with a backlog.
// Results are computed eight at a time: one column of delays for each source, in cycles after the block's entry.

#include <vector>

#include "core/timing/block_plan.h"

namespace bunshin {

/// Instructions whose classes have the same ports wait for each other, as a queue that several serve.
struct PortGroups {
  static constexpr unsigned none = 0xff;
  explicit PortGroups(const PipelineParameters& parameters);

  std::array<u8, op_classes> of;      ///< group of each class, or `none`
  std::array<u64, op_classes> use{};  ///< what an instruction of a class takes of its group, in 1/65536 cycles
  unsigned count = 0;
};

struct BlockFlow {
  static constexpr unsigned max_accesses = 48;
  /// Sources are numbered: registers (depend::…), loads of the block in order, groups of ports, the block's entry.
  static constexpr unsigned first_load = depend::count;
  static constexpr unsigned first_group = first_load + max_accesses;
  static constexpr unsigned entry = first_group + op_classes;
  /// Targets are the registers, and when everything is done as far as no register says so.
  static constexpr unsigned done = entry + 1;
  static constexpr unsigned times = done + 1;
  /// Edges come in packs; those that fill them up say nothing new.
  static constexpr unsigned pack = 4;
  /// Results that are computed together, and a delay of each.
  static constexpr unsigned lanes = 8;
  using Delays [[gnu::vector_size(2 * lanes)]] = i16;
  /// Delays and waits above this are not for lanes: their sum still fits. Also, negative, the delay of what is independent.
  static constexpr i16 longest = 0x3fff;

  struct Edge {
    u8 source = entry;
    u16 delay = 0;
  };
  /// In program order: when a load has its address, when a store has its data.
  struct Access {
    u16 first_edge = 0, edges = 0;
    bool store = false;
    u8 entry = 0;  ///< the instruction's number
  };
  struct GroupUse {
    u8 group = 0;
    u64 use = 0;  ///< in 1/65536 cycles
  };

  bool usable = false;  ///< every instruction is of a kind that this can express
  u8 loads = 0, stores = 0;
  u16 first_branch_edge = 0, branch_edges = 0;  ///< of the last instruction
  std::vector<Access> accesses;
  std::vector<u8> targets;         ///< one for each result; the last one is `done`
  std::vector<u8> result_sources;  ///< of all results together
  /// For each eight targets: their bases, then a column for each of `result_sources`.
  std::vector<Delays> columns;
  std::vector<GroupUse> groups;
  std::vector<Edge> all_edges;
};

BlockFlow derive_flow(const BlockPlan& plan, const PipelineParameters& parameters, const PortGroups& groups);

}  // namespace bunshin
