#include "core/timing/statistics.h"

#include <algorithm>

namespace bunshin {

void TimingStatistics::change_space(AddressSpaceId space, u64 cycle, const RunCounters& now) {
  const RunCounters passed = now - counted_;
  counted_ = now;
  by_privilege_[privilege()] += passed;
  AddressSpace& left = spaces_.at(space_.cr3(), cycle);
  left.by_privilege[privilege()] += passed;
  space_ = space;
}

AddressSpaces TimingStatistics::all_spaces(u64 cycle, const RunCounters& now) const {
  AddressSpaces spaces = spaces_;
  spaces.at(space_.cr3(), cycle).by_privilege[privilege()] += now - counted_;
  return spaces;
}

RunCounters TimingStatistics::of(Privilege privilege, const RunCounters& now) const {
  RunCounters counters = by_privilege_[static_cast<unsigned>(privilege)];
  if (privilege == space_.privilege()) counters += now - counted_;
  return counters;
}

void TimingStatistics::walk_reference(unsigned dimension, unsigned level, u64 cycles, Level found, bool update) {
  WalkCounters::AtLevel& at = walks_[privilege()].at[(dimension - 1) % 2][level % WalkCounters::table_levels];
  at.cycles += cycles;
  if (update) return;
  ++at.references;
  ++at.found[static_cast<unsigned>(found)];
  if (references_++ == 0) first_level_ = level;
  if (dimension == 1) last_level_ = level;
}

void TimingStatistics::walked(u64 linear, u64 cycles, unsigned entry_bytes) {
  WalkCounters& w = walks_[privilege()];
  ++w.walks;
  ++w.by_references[std::min(references_, WalkCounters::most_references)];
  ++w.by_first_level[first_level_ % WalkCounters::table_levels];
  ++w.by_last_level[last_level_ % WalkCounters::table_levels];
  const unsigned index_bits = entry_bytes == 4 ? 10 : 9;
  HotPage& page = pages_.walked(linear, space_, 12 + index_bits * (std::clamp(last_level_, 1u, 3u) - 1));
  ++page.walks;
  page.walk_references += references_;
  page.walk_cycles += cycles;
  references_ = first_level_ = last_level_ = 0;
}

}  // namespace bunshin
