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
  array.tags.assign(parameters.entries, 0);
  array.ages.assign(parameters.entries, 0);
  return array;
}

FirstLevelTlb::FirstLevelTlb(const TlbParameters& parameters)
    : arrays_{make(parameters.small, "small"), make(parameters.large, "large"), make(parameters.giant, "giant")},
      replacement_(parameters.replacement, parameters.seed) {}

void FirstLevelTlb::set_tag(u32 tag) {
  if (tag == tag_) return;
  tag_ = tag;
  for (Array& array : arrays_) array.last = none;
}

bool FirstLevelTlb::search(Array& array, unsigned shift, u64 key) {
  if (array.keys.empty()) {
    ++array.misses;
    return false;
  }
  const u64 set = key >> 12 & array.set_mask;
  const u64 begin = set * array.ways;
  array.last = key;
  u64 empty = none;
  for (u64 i = begin; i < begin + array.ways; ++i) {
    if (array.keys[i] == key && array.tags[i] == tag_) {
      replacement_.hit(array.ages[i]);
      ++array.hits;
      return true;
    }
    if (array.keys[i] == none && empty == none) empty = i;
  }
  if (lines_ != nullptr) refresh(array, shift, set);
  const u64 victim = empty != none ? empty : begin + replacement_.victim(array.ways, [&array, begin](u64 i) -> u64& {
    return array.ages[begin + i];
  });
  if (lines_ != nullptr && array.keys[victim] != none) lines_->flush_range(array.keys[victim] >> 12 << shift, shift);
  array.keys[victim] = key;
  array.tags[victim] = tag_;
  replacement_.inserted(array.ages[victim]);
  ++array.misses;
  return false;
}

bool FirstLevelTlb::holds(u64 linear, unsigned shift, u16 pcid) const {
  const Array& array = arrays_[shift == page_shift ? 0 : shift >= 30 ? 2 : 1];
  const u64 key = (linear >> shift) << 12 | pcid;
  if (array.last == key) return !array.keys.empty();
  const u64 begin = (key >> 12 & array.set_mask) * array.ways;
  for (u64 i = begin; i < begin + array.ways && i < array.keys.size(); ++i) {
    if (array.keys[i] == key && array.tags[i] == tag_) return true;
  }
  return false;
}

/// What the line filter served of this set's pages since it was last asked counts as a use now.
void FirstLevelTlb::refresh(Array& array, unsigned shift, u64 set) {
  lines_->visit_used([&](u64 linear) {
    const u64 page = linear >> shift;
    if ((page & array.set_mask) != set) return false;
    for (u64 i = set * array.ways; i < (set + 1) * array.ways; ++i) {
      if (array.keys[i] >> 12 == (page & (none >> 12)) && array.tags[i] == tag_) replacement_.hit(array.ages[i]);
    }
    return true;
  });
}

void FirstLevelTlb::flush() {
  for (Array& array : arrays_) {
    array.last = none;
    std::fill(array.keys.begin(), array.keys.end(), none);
  }
}

void FirstLevelTlb::flush_tag(u32 tag) {
  for (Array& array : arrays_) {
    array.last = none;
    for (u64 i = 0; i < array.keys.size(); ++i) {
      if (array.tags[i] == tag) array.keys[i] = none;
    }
  }
}

void FirstLevelTlb::flush_page(u64 linear, u32 tag) {
  constexpr std::array<unsigned, 3> shifts{page_shift, 21, 30};
  for (unsigned i = 0; i < arrays_.size(); ++i) {
    Array& array = arrays_[i];
    array.last = none;
    // 4 MiB pages have two 2 MiB numbers; both are within what an entry of either size can say.
    const unsigned pair = i == 1 ? 1 : 0;
    for (u64 k = 0; k < array.keys.size(); ++k) {
      u64& key = array.keys[k];
      if (key != none && array.tags[k] == tag && key >> 12 >> pair == linear >> shifts[i] >> pair) key = none;
    }
  }
}

void FirstLevelTlb::register_statistics(StatRegistry& registry, const std::string& prefix) const {
  const std::array<std::string, 3> names{"small", "large", "giant"};
  for (unsigned i = 0; i < arrays_.size(); ++i) {
    registry.add(prefix + names[i] + ".hits", arrays_[i].hits, "",
                 "accesses to pages of this size, while timed, that the line filter did not serve");
    registry.add(prefix + names[i] + ".misses", arrays_[i].misses, "", "references to pages of this size, while timed");
  }
}

void FirstLevelTlb::hash(StateHash& hash) const {
  for (const Array& array : arrays_) {
    for (const u64 key : array.keys) hash.add(key);
    for (const u64 age : array.ages) hash.add(age);
    for (const u32 tag : array.tags) hash.add(tag);
  }
}

}  // namespace bunshin
