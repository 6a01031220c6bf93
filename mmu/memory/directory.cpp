#include "mmu/memory/directory.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace bunshin {

Directory::Directory(u64 lines) {
  // At most half full, so that chains of linear probing stay short.
  const u64 slots = std::bit_ceil(std::max<u64>(2 * lines, 16));
  shift_ = 64 - static_cast<unsigned>(std::countr_zero(slots));
  mask_ = slots - 1;
  lines_.assign(slots, empty);
  clusters_.assign(slots, 0);
}

u64 Directory::probe(u64 line) const {
  u64 slot = slot_of(line);
  while (lines_[slot] != empty && (lines_[slot] & ~u64{1}) != line) slot = (slot + 1) & mask_;
  return slot;
}

Directory::Entry Directory::find(u64 line) const {
  const u64 slot = probe(line);
  if (lines_[slot] == empty) return {};
  return {clusters_[slot], (lines_[slot] & 1) != 0};
}

void Directory::set(u64 line, Entry entry) {
  const u64 slot = probe(line);
  if (entry.clusters == 0) {
    if (lines_[slot] != empty) erase(slot);
    return;
  }
  if (lines_[slot] == empty) {
    ++size_;
    SIM_CHECK(size_ <= mask_);
  }
  lines_[slot] = line | static_cast<u64>(entry.owned);
  clusters_[slot] = entry.clusters;
}

void Directory::remove(u64 line, unsigned cluster) {
  const u64 slot = probe(line);
  if (lines_[slot] == empty) return;
  clusters_[slot] &= ~(u64{1} << cluster);
  if (clusters_[slot] == 0) erase(slot);
}

void Directory::erase(u64 slot) {
  --size_;
  // Entries behind that were pushed past this slot move up, so that no tombstones are needed.
  u64 hole = slot;
  for (u64 next = (hole + 1) & mask_; lines_[next] != empty; next = (next + 1) & mask_) {
    const u64 home = slot_of(lines_[next] & ~u64{1});
    if (((next - home) & mask_) < ((next - hole) & mask_)) continue;
    lines_[hole] = lines_[next];
    clusters_[hole] = clusters_[next];
    hole = next;
  }
  lines_[hole] = empty;
  clusters_[hole] = 0;
}

void Directory::reset() {
  size_ = 0;
  std::fill(lines_.begin(), lines_.end(), empty);
  std::fill(clusters_.begin(), clusters_.end(), u64{0});
}

}  // namespace bunshin
