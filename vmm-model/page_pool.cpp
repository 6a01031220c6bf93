#include "vmm-model/page_pool.h"

#include <algorithm>

namespace bunshin::vmm {

void PagePool::add(u64 begin, u64 end) {
  begin = (begin + page_size - 1) & ~(page_size - 1);
  end &= ~(page_size - 1);
  if (begin == 0) begin = page_size;  // address 0 says "none"
  if (begin >= end || count_ == max_ranges) return;
  ranges_[count_++] = {begin, end};
  free_ += (end - begin) / page_size;
}

HostPhysical PagePool::allocate() {
  HostPhysical page;
  if (free_list_ != 0) {
    page = HostPhysical(free_list_);
    free_list_ = hardware_.load(page, 8);
  } else {
    for (unsigned i = 0; i < count_ && page.value == 0; ++i) {
      if (ranges_[i].begin == ranges_[i].end) continue;
      page = HostPhysical(ranges_[i].begin);
      ranges_[i].begin += page_size;
    }
    if (page.value == 0) return page;
  }
  --free_;
  hardware_.clear(page, page_size);
  return page;
}

void PagePool::release(HostPhysical page) {
  hardware_.store(page, 8, free_list_);
  free_list_ = page.value;
  ++free_;
}

/// From the top of a range. Address 0: it has no room.
HostPhysical PagePool::cut(Range& range, u64 bytes, u64 alignment) {
  const u64 base = (range.end - bytes) & ~(alignment - 1), above = base + bytes, end = range.end;
  if (bytes > end - range.begin || base < range.begin) return HostPhysical(0);
  range.end = base;
  free_ -= (end - base) / page_size;
  // What alignment cuts off at the top becomes a range of its own where there is room for one.
  if (above < end) add(above, end);
  return HostPhysical(base);
}

HostPhysical PagePool::allocate_block(u64 bytes, u64 alignment, u64 limit) {
  bytes = (bytes + page_size - 1) & ~(page_size - 1);
  for (unsigned i = count_; i-- > 0;) {
    Range& range = ranges_[i];
    if (range.end > limit || bytes > range.end - range.begin) continue;
    if (alignment <= page_size) {
      range.begin += bytes;
      free_ -= bytes / page_size;
      return HostPhysical(range.begin - bytes);
    }
    if (const HostPhysical block = cut(range, bytes, alignment); block.value != 0) return block;
  }
  return HostPhysical(0);
}

HostPhysical PagePool::allocate_part(u64& bytes, u64 alignment) {
  for (unsigned i = count_; i-- > 0;) {
    const u64 begin = (ranges_[i].begin + alignment - 1) & ~(alignment - 1), end = ranges_[i].end & ~(alignment - 1);
    if (begin >= end) continue;
    bytes = std::min(bytes, end - begin);
    return cut(ranges_[i], bytes, alignment);
  }
  return HostPhysical(0);
}

}  // namespace bunshin::vmm
