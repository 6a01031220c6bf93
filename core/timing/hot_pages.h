#pragma once

// Which pages cost most: walks, second-level TLB hits and cache misses by linear page. A table of fixed size; of each set the
// page that cost least goes when room is needed.

#include <array>
#include <vector>

#include "core/timing/address_spaces.h"

namespace bunshin {

struct HotPage {
  u64 linear = ~u64{0};  ///< of the page's first byte
  u64 cr3 = 0;           ///< 0 for the upper half of the addresses, which operating systems map alike everywhere
  u8 shift = 12;         ///< log2 of the page's size in bytes
  u64 walks = 0;
  u64 walk_references = 0;
  u64 walk_cycles = 0;
  u64 second_level = 0;  ///< translations that the second-level TLB had
  u64 misses = 0;        ///< accesses that left the core's own caches
  u64 miss_cycles = 0;   ///< until they completed, overlapping ones counted each

  u64 cycles() const { return walk_cycles + miss_cycles; }
  HotPage& operator+=(const HotPage& other) {
    walks += other.walks;
    walk_references += other.walk_references;
    walk_cycles += other.walk_cycles;
    second_level += other.second_level;
    misses += other.misses;
    miss_cycles += other.miss_cycles;
    return *this;
  }
};

class HotPages {
 public:
  static constexpr std::size_t sets = 512, ways = 8, capacity = sets * ways;

  HotPages() : pages_(capacity), regions_(region_count) {}

  /// The page that the address lies in, its size as the last walk nearby found it.
  HotPage& at(u64 linear, AddressSpaceId space) { return find(linear, space_of(linear, space), region(linear).shift); }
  /// A walk found that the page has 2^shift bytes.
  HotPage& walked(u64 linear, AddressSpaceId space, unsigned shift);

  /// At most `count`, those with most cycles first.
  std::vector<HotPage> hottest(std::size_t count) const;

 private:
  static constexpr std::size_t region_count = 1024;
  /// What the latest walk in 2 MiB of addresses found.
  struct Region {
    u64 number = ~u64{0};
    u8 shift = 12;
  };

  static u64 space_of(u64 linear, AddressSpaceId space) { return linear >> 63 != 0 ? 0 : space.cr3() & ~u64{0xfff}; }
  Region region(u64 linear) const {
    const Region& r = regions_[(linear >> 21) % region_count];
    return r.number == linear >> 21 ? r : Region{};
  }
  HotPage& find(u64 linear, u64 cr3, unsigned shift);

  std::vector<HotPage> pages_;
  std::vector<Region> regions_;
};

}  // namespace bunshin
