#include "vmm-model/platform/guest_disk.h"

#include <algorithm>

namespace bunshin::vmm {

/// What of the image lies between `offset` and the end of its block.
std::span<const u8> GuestDisk::part(u64 offset, std::size_t wanted) const {
  const u64 left = page_size - (offset & (page_size - 1));
  return image_.subspan(offset, std::min<u64>({wanted, left, image_.size() - offset}));
}

bool GuestDisk::read(u64 offset, std::span<u8> data) {
  while (!data.empty()) {
    const std::span<const u8> original = part(offset, data.size());
    const std::span<u8> wanted = data.first(original.size());
    const u64 page = pages_[offset / page_size];
    if (page != 0) {
      hardware_.read(HostPhysical(page + (offset & (page_size - 1))), wanted);
    } else {
      std::copy(original.begin(), original.end(), wanted.begin());
    }
    offset += wanted.size();
    data = data.subspan(wanted.size());
  }
  return true;
}

bool GuestDisk::make_private(u64 block) {
  if (pages_[block] != 0) return true;
  const HostPhysical page = pool_.allocate();
  if (page.value == 0) return false;
  hardware_.write(page, part(block * page_size, page_size));
  pages_[block] = page.value;
  return true;
}

bool GuestDisk::write(u64 offset, std::span<const u8> data) {
  while (!data.empty()) {
    const std::span<const u8> now = data.first(part(offset, data.size()).size());
    if (!make_private(offset / page_size)) return false;
    hardware_.write(HostPhysical(pages_[offset / page_size] + (offset & (page_size - 1))), now);
    offset += now.size();
    data = data.subspan(now.size());
  }
  return true;
}

}  // namespace bunshin::vmm
