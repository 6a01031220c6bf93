#pragma once

// What a timed core's cycles, instructions, misses and walks are counted by: the privilege level and the address space that
// they belong to. Counting is done where something slow happens anyway (a page walk, a miss); what every instruction adds to
// is one total, and the difference is taken when the core changes privilege or address space.

#include <array>
#include <string>
#include <string_view>

#include "base/stats.h"
#include "core/timing/address_spaces.h"
#include "core/timing/hot_pages.h"
#include "core/timing/run_counters.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

/// Page walks of one privilege level. A level is that of the paging-structure entry: 1 holds the entries that map 4 KiB.
struct WalkCounters {
  static constexpr unsigned dimensions = 2, table_levels = 6, most_references = 25;

  struct AtLevel {
    u64 references = 0;
    u64 cycles = 0;
    std::array<u64, levels> found{};  ///< references by who supplied the entry
  };
  u64 walks = 0;
  std::array<u64, most_references + 1> by_references{};  ///< the last one: so many and more
  std::array<u64, table_levels> by_last_level{};         ///< level of the last entry of dimension 1
  std::array<u64, table_levels> by_first_level{};  ///< … of the first, where paging-structure caches let it begin
  std::array<std::array<AtLevel, table_levels>, dimensions> at;
};

class TimingStatistics {
 public:
  /// `now` are the core's totals. What was counted since the last call belongs to the address space until now.
  void change_space(AddressSpaceId space, u64 cycle, const RunCounters& now);
  AddressSpaceId space() const { return space_; }

  /// While a walk is replayed: one reference to a paging structure, then the walk as a whole.
  void walk_reference(unsigned dimension, unsigned level, u64 cycles, Level found, bool update);
  /// `entry_bytes` is 4 in 32-bit paging, else 8.
  void walked(u64 linear, u64 cycles, unsigned entry_bytes);
  /// A translation that the second-level TLB had.
  void second_level_hit(u64 linear) { pages_.at(linear, space_).second_level += 1; }
  /// An access that no cache of the core's own had.
  void missed(u64 linear, u64 cycles) {
    HotPage& page = pages_.at(linear, space_);
    page.misses += 1;
    page.miss_cycles += cycles;
  }

  RunCounters of(Privilege privilege, const RunCounters& now) const;
  const WalkCounters& walks(Privilege privilege) const { return walks_[static_cast<unsigned>(privilege)]; }
  const AddressSpaces& spaces() const { return spaces_; }
  /// The same with what the current one has counted until now.
  AddressSpaces all_spaces(u64 cycle, const RunCounters& now) const;
  const HotPages& pages() const { return pages_; }

  /// `now` is called when a statistic is read.
  void register_stats(StatRegistry& registry, const std::string& prefix, std::function<RunCounters()> now) const;

 private:
  unsigned privilege() const { return static_cast<unsigned>(space_.privilege()); }
  void register_walks(StatRegistry& registry, const std::string& prefix, unsigned privilege) const;
  void register_all_walks(StatRegistry& registry, const std::string& prefix) const;

  AddressSpaceId space_;
  RunCounters counted_;  ///< totals when the space changed last
  std::array<RunCounters, privileges> by_privilege_;
  std::array<WalkCounters, privileges> walks_;
  AddressSpaces spaces_;
  HotPages pages_;
  /// Of the walk being replayed.
  unsigned references_ = 0, first_level_ = 0, last_level_ = 0;
};

}  // namespace bunshin
