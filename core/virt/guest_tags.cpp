#include "core/virt/guest_tags.h"

#include <algorithm>

namespace bunshin {

void GuestTags::note_flushes() {
  if (current_ == 0 || mmu_.guest_flushes() == flushes_) return;
  flushes_ = mmu_.guest_flushes();
  const u16 identifier = slots_[current_ - 1].identifier;
  for (u32 i = 0; i < slots_.size(); ++i) {
    if (i + 1 != current_ && slots_[i].identifier == identifier) slots_[i].stale = true;
  }
}

u32 GuestTags::use(u16 identifier, u64 root) {
  note_flushes();
  const auto same = [=](const Slot& s) { return s.last_use != 0 && s.identifier == identifier && s.root == root; };
  auto slot = std::find_if(slots_.begin(), slots_.end(), same);
  const bool found = slot != slots_.end();
  if (!found) slot = std::ranges::min_element(slots_, {}, &Slot::last_use);
  const auto tag = static_cast<u32>(slot - slots_.begin()) + 1;
  if (found ? slot->stale : slot->last_use != 0) mmu_.flush_guest_linear(tag);
  current_ = tag;
  flushes_ = mmu_.guest_flushes();
  *slot = {identifier, root, ++clock_, false};
  return tag;
}

void GuestTags::reset() {
  slots_ = {};
  current_ = 0;
}

}  // namespace bunshin
