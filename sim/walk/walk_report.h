#pragma once

// A translation, reference by reference: what `bunshin walk` found out, and the forms in which it says it.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "sim/walk/walk_setup.h"

namespace bunshin {

/// One access to memory, in the order in which they are made.
struct WalkStep {
  unsigned number = 0;     ///< from 1
  unsigned dimension = 0;  ///< 1 the guest's own tables, 2 the second stage's, 0 the data
  unsigned level = 0;      ///< 1 holds the entries that map 4 KiB pages; 0 the data
  /// What it was needed for: the guest's entry of this level, or (0) the data.
  unsigned row = 0;
  u64 guest_physical = 0;  ///< of the entry or data; in dimension 2, what is being translated
  u64 host_physical = 0;
  std::optional<u64> entry;
  bool update = false;  ///< sets A or D
  std::string hit;      ///< who supplied it: L1, L2, L3, DRAM
  u64 cycles = 0;
};

/// A reference that a walk without caches makes, and this one did not.
struct SkippedStep {
  unsigned dimension = 0, level = 0, row = 0;
  std::string reason;
};

struct WalkReport {
  WalkSetup setup;
  u64 linear = 0;
  u64 guest_physical = 0;
  u64 host_physical = 0;
  std::vector<WalkStep> steps;
  std::vector<SkippedStep> skipped;
  /// Guest-physical address of the guest's entry of each level; [0]: of the data.
  std::array<u64, 6> entry_addresses{};
  u64 walk_cycles = 0;  ///< of the table references
  u64 data_cycles = 0;

  u64 entry_address(unsigned row) const { return entry_addresses[row]; }
  unsigned references() const;  ///< table references: neither the data access nor updates of A and D
  unsigned accesses() const { return references() + 1; }
  u64 cycles() const { return walk_cycles + data_cycles; }
};

/// "24 table references + 1 data access = 25 accesses, 4321 cycles (walk 4000, data 321)".
std::string totals(const WalkReport& report);
/// The terminal's table, totals last.
std::string walk_text(const WalkReport& report);
/// docs/walk.md describes it.
std::string walk_json(const WalkReport& report);
/// A stand-alone SVG image of the textbook's grid.
std::string walk_svg(const WalkReport& report);

}  // namespace bunshin
