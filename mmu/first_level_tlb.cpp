#include "mmu/first_level_tlb.h"

#include <stdexcept>
#include <string>

namespace bunshin {

FirstLevelTlb::Array FirstLevelTlb::make(const TlbArrayParameters& parameters, const char* name) {
  Array array;
  if (parameters.entries == 0) return array;
  if (const auto problem = parameters.problem()) {
    throw std::runtime_error(std::string("TLB array '") + name + "': " + *problem);
  }
  array.ways = parameters.ways;
  array.set_mask = parameters.entries / parameters.ways - 1;
  array.keys.assign(parameters.entries, none);
  array.last_use.assign(parameters.entries, 0);
  return array;
}

FirstLevelTlb::FirstLevelTlb(const TlbParameters& parameters)
    : arrays_{make(parameters.small, "small"), make(parameters.large, "large"), make(parameters.giant, "giant")} {}

bool FirstLevelTlb::search(Array& array, unsigned shift, u64 key) {
  if (array.keys.empty()) return false;
  const u64 set = key >> 12 & array.set_mask;
  const u64 begin = set * array.ways;
  array.last = key;
  ++clock_;
  for (u64 i = begin; i < begin + array.ways; ++i) {
    if (array.keys[i] != key) continue;
    array.last_use[i] = clock_;
    return true;
  }
  if (lines_ != nullptr) refresh(array, shift, set);
  u64 victim = begin;
  for (u64 i = begin + 1; i < begin + array.ways; ++i) {
    if (array.last_use[i] < array.last_use[victim]) victim = i;
  }
  if (lines_ != nullptr && array.keys[victim] != none) lines_->flush_range(array.keys[victim] >> 12 << shift, shift);
  array.keys[victim] = key;
  array.last_use[victim] = clock_;
  return false;
}

bool FirstLevelTlb::holds(u64 linear, unsigned shift, u16 pcid) const {
  const Array& array = arrays_[shift == page_shift ? 0 : shift >= 30 ? 2 : 1];
  const u64 key = (linear >> shift) << 12 | pcid;
  if (array.last == key) return !array.keys.empty();
  const u64 begin = (key >> 12 & array.set_mask) * array.ways;
  for (u64 i = begin; i < begin + array.ways && i < array.keys.size(); ++i) {
    if (array.keys[i] == key) return true;
  }
  return false;
}

/// What the line filter served of this set's pages since it was last asked counts as a use now.
void FirstLevelTlb::refresh(Array& array, unsigned shift, u64 set) {
  lines_->visit_used([&](u64 linear) {
    const u64 page = linear >> shift;
    if ((page & array.set_mask) != set) return false;
    for (u64 i = set * array.ways; i < (set + 1) * array.ways; ++i) {
      if (array.keys[i] >> 12 == (page & (none >> 12))) array.last_use[i] = clock_ - 1;
    }
    return true;
  });
}

void FirstLevelTlb::flush() {
  for (Array& array : arrays_) {
    array.last = none;
    std::fill(array.keys.begin(), array.keys.end(), none);
    std::fill(array.last_use.begin(), array.last_use.end(), 0);
  }
}

void FirstLevelTlb::flush_page(u64 linear) {
  constexpr std::array<unsigned, 3> shifts{page_shift, 21, 30};
  for (unsigned i = 0; i < arrays_.size(); ++i) {
    Array& array = arrays_[i];
    array.last = none;
    // 4 MiB pages have two 2 MiB numbers; both are within what an entry of either size can say.
    for (u64& key : array.keys) {
      if (key != none && (key >> 12) >> (i == 1 ? 1 : 0) == (linear >> shifts[i]) >> (i == 1 ? 1 : 0)) key = none;
    }
  }
}

void FirstLevelTlb::hash(StateHash& hash) const {
  for (const Array& array : arrays_) {
    for (const u64 key : array.keys) hash.add(key);
    for (const u64 use : array.last_use) hash.add(use);
  }
}

}  // namespace bunshin
