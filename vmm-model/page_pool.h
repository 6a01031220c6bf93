#pragma once

// The hypervisor's only heap: pages of host-physical memory that the boot loader left over.

#include "vmm-model/hardware.h"

namespace bunshin::vmm {

class PagePool {
 public:
  static constexpr unsigned max_ranges = 16;

  explicit PagePool(Hardware& hardware) : hardware_(hardware) {}

  /// Pages wholly inside [begin, end) join the pool. Ranges beyond `max_ranges` are ignored.
  void add(u64 begin, u64 end);
  /// A zeroed page; address 0: the pool is empty.
  HostPhysical allocate();
  void release(HostPhysical page);
  /// Adjacent pages that are never given back, not zeroed. `alignment` is a power of two, at least a page. Address 0: no room.
  /// In ranges that end by `limit`. If aligned to more than a page, the highest there is; else one from the bottom, which leaves
  /// guests with large pages their places.
  HostPhysical allocate_block(u64 bytes, u64 alignment, u64 limit = ~u64{0});

  /// As much of that as there is in one place: `bytes` becomes less if it must, by multiples of `alignment`. The highest
  /// memory first, as there is use for the lowest.
  HostPhysical allocate_part(u64& bytes, u64 alignment);

  u64 free_pages() const { return free_; }

 private:
  struct Range {
    u64 begin = 0, end = 0;
  };
  HostPhysical cut(Range& range, u64 bytes, u64 alignment);

  Hardware& hardware_;
  std::array<Range, max_ranges> ranges_{};
  unsigned count_ = 0;
  u64 free_list_ = 0;  ///< a released page holds the address of the next in its first eight bytes
  u64 free_ = 0;
};

}  // namespace bunshin::vmm
