#include "core/timing/hot_pages.h"

#include <algorithm>
#include <tuple>

namespace bunshin {

HotPage& HotPages::walked(u64 linear, AddressSpaceId space, unsigned shift) {
  regions_[(linear >> 21) % region_count] = {linear >> 21, static_cast<u8>(shift)};
  return find(linear, space_of(linear, space), shift);
}

HotPage& HotPages::find(u64 linear, u64 cr3, unsigned shift) {
  const u64 page = linear & ~((u64{1} << shift) - 1);
  const u64 mixed = (page >> 12 ^ cr3 >> 12 ^ shift) * 0x9e3779b97f4a7c15ULL;
  HotPage* const set = &pages_[(mixed >> 40) % sets * ways];
  HotPage* coldest = set;
  for (HotPage* p = set; p != set + ways; ++p) {
    if (p->linear == page && p->cr3 == cr3 && p->shift == shift) return *p;
    if (p->cycles() < coldest->cycles()) coldest = p;
  }
  *coldest = {};
  coldest->linear = page;
  coldest->cr3 = cr3;
  coldest->shift = static_cast<u8>(shift);
  return *coldest;
}

std::vector<HotPage> HotPages::hottest(std::size_t count) const {
  std::vector<HotPage> used;
  for (const HotPage& p : pages_) {
    if (p.linear != HotPage{}.linear) used.push_back(p);
  }
  std::sort(used.begin(), used.end(), [](const HotPage& a, const HotPage& b) {
    if (a.cycles() != b.cycles()) return a.cycles() > b.cycles();
    return std::tuple(a.linear, a.cr3, a.shift) < std::tuple(b.linear, b.cr3, b.shift);
  });
  used.resize(std::min(used.size(), count));
  return used;
}

}  // namespace bunshin
