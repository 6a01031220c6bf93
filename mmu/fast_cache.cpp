#include "mmu/fast_cache.h"

#include <bit>

namespace bunshin {

template <class Visit>
void FastCache::for_each_filled(Visit visit) {
  for (unsigned word = 0; word < filled_.size(); ++word) {
    for (u64 rest = filled_[word]; rest != 0; rest &= rest - 1) {
      visit(table_[word * 64 + static_cast<unsigned>(std::countr_zero(rest))]);
    }
  }
}

void FastCache::note_fill(u64 linear, unsigned shift) {
  const u64 index = (linear >> page_shift) % entries;
  filled_[index / 64] |= u64{1} << (index % 64);
  shifts_[index] = static_cast<u8>(shift);
}

void FastCache::flush() {
  for_each_filled([](Entry& e) { e = {}; });
  filled_ = {};
}

void FastCache::flush_page(u64 linear) {
  const u64 page = linear & ~(page_size - 1);
  Entry& e = at(linear);
  if (e.read_tag == page) e.read_tag = no_tag;
  if (e.write_tag == page) e.write_tag = no_tag;
  if (e.execute_tag == page) e.execute_tag = no_tag;
}

void FastCache::flush_range(u64 linear, unsigned shift) {
  const u64 mask = ~((u64{1} << shift) - 1);
  const u64 base = linear & mask;
  const auto drop = [mask, base](u64& tag) {
    if ((tag & mask) == base) tag = no_tag;
  };
  for_each_filled([&drop](Entry& e) {
    drop(e.read_tag);
    drop(e.write_tag);
    drop(e.execute_tag);
  });
}

void FastCache::drop_writes(const u8* host_page) {
  const auto host = reinterpret_cast<std::uintptr_t>(host_page);
  for_each_filled([host](Entry& e) {
    if (e.write_tag != no_tag && e.write_tag + e.addend == host) e.write_tag = no_tag;
  });
}

}  // namespace bunshin
