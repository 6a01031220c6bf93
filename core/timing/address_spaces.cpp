#include "core/timing/address_spaces.h"

#include <algorithm>
#include <tuple>

namespace bunshin {

u64 AddressSpace::cycles() const {
  u64 sum = 0;
  for (const RunCounters& c : by_privilege) sum += c.account.total();
  return sum;
}

AddressSpace& AddressSpaces::at(u64 cr3, u64 cycle) {
  if (spaces_.empty() || spaces_[last_].cr3 != cr3) {
    const auto known = index_.find(cr3);
    if (known != index_.end()) {
      last_ = known->second;
    } else {
      last_ = make_room();
      index_[cr3] = last_;
      spaces_[last_] = {cr3, cycle, cycle, {}};
    }
  }
  spaces_[last_].last_cycle = cycle;
  return spaces_[last_];
}

std::size_t AddressSpaces::make_room() {
  if (spaces_.size() < capacity) {
    spaces_.emplace_back();
    return spaces_.size() - 1;
  }
  const auto coldest =
      std::min_element(spaces_.begin(), spaces_.end(), [](const AddressSpace& a, const AddressSpace& b) {
        return std::tuple(a.cycles(), a.last_cycle, a.cr3) < std::tuple(b.cycles(), b.last_cycle, b.cr3);
      });
  if (evicted_++ == 0) others_.first_cycle = coldest->first_cycle;
  others_.first_cycle = std::min(others_.first_cycle, coldest->first_cycle);
  others_.last_cycle = std::max(others_.last_cycle, coldest->last_cycle);
  for (unsigned p = 0; p < privileges; ++p) others_.by_privilege[p] += coldest->by_privilege[p];
  index_.erase(coldest->cr3);
  return static_cast<std::size_t>(coldest - spaces_.begin());
}

std::vector<AddressSpace> AddressSpaces::hottest() const {
  std::vector<AddressSpace> sorted = spaces_;
  std::sort(sorted.begin(), sorted.end(), [](const AddressSpace& a, const AddressSpace& b) {
    const u64 cycles_a = a.cycles();
    const u64 cycles_b = b.cycles();
    return cycles_a != cycles_b ? cycles_a > cycles_b : a.cr3 < b.cr3;
  });
  return sorted;
}

}  // namespace bunshin
