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

bool FirstLevelTlb::search(Array& array, u64 key) {
  if (array.keys.empty()) return false;
  const u64 begin = (key >> 12 & array.set_mask) * array.ways;
  array.last = key;
  ++clock_;
  u64 victim = begin;
  for (u64 i = begin; i < begin + array.ways; ++i) {
    if (array.keys[i] == key) {
      array.last_use[i] = clock_;
      return true;
    }
    if (array.last_use[i] < array.last_use[victim]) victim = i;
  }
  array.keys[victim] = key;
  array.last_use[victim] = clock_;
  return false;
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
