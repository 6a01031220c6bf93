#include "vmm-model/paging/shadow_pages.h"

#include <algorithm>
#include <new>

#include "mmu/paging_mode.h"
#include "vmm-model/paging/shadow_table.h"

namespace bunshin::vmm {

bool ShadowPages::start() {
  const u64 pages = memory_.pages();
  count_ = static_cast<u32>(std::clamp<u64>(pages / 64, 128, 8192));
  writer_count_ = static_cast<u32>(2 * pages);
  block_ = pool_.allocate_block(u64{count_} * page_size, page_size, shadow::root_limit);
  void* tables = hardware_.allocate_object(count_ * sizeof(Table));
  void* page_array = hardware_.allocate_object(pages * sizeof(Page));
  void* writers = hardware_.allocate_object(writer_count_ * sizeof(Writer));
  if (block_.value == 0 || tables == nullptr || page_array == nullptr || writers == nullptr) return false;
  tables_ = static_cast<Table*>(tables);
  pages_ = static_cast<Page*>(page_array);
  writers_ = static_cast<Writer*>(writers);
  release_all();
  return true;
}

void ShadowPages::release_all() {
  free_ = free_writers_ = none;
  in_use_ = 0;
  for (u32 i = count_; i-- > 0;) {
    new (&tables_[i]) Table;
    tables_[i].next = free_;
    free_ = i;
  }
  for (u32 i = writer_count_; i-- > 0;) {
    new (&writers_[i]) Writer{0, free_writers_};
    free_writers_ = i;
  }
  for (u64 i = 0; i < memory_.pages(); ++i) new (&pages_[i]) Page;
  hardware_.worked(Work::Element, count_ + writer_count_ + memory_.pages());
}

u32 ShadowPages::allocate() {
  const u32 index = free_;
  if (index == none) return none;
  free_ = tables_[index].next;
  tables_[index] = Table{};
  tables_[index].used = true;
  ++in_use_;
  return index;
}

u32 ShadowPages::allocate(const ShadowKey& key) {
  const u32 index = allocate();
  if (index == none) return none;
  Table& t = tables_[index];
  t.key = key;
  t.keyed = true;
  t.next = pages_[key.page].tables;
  pages_[key.page].tables = index;
  return index;
}

void ShadowPages::release(u32 index) {
  Table& t = tables_[index];
  if (t.keyed) {
    u32* link = &pages_[t.key.page].tables;
    while (*link != index) link = &tables_[*link].next;
    *link = t.next;
  }
  t = Table{};
  t.next = free_;
  free_ = index;
  --in_use_;
}

u32 ShadowPages::find(const ShadowKey& key) const {
  u32 index = pages_[key.page].tables;
  while (index != none && tables_[index].key != key) index = tables_[index].next;
  return index;
}

bool ShadowPages::add_writer(u32 page, HostPhysical entry) {
  const u32 index = free_writers_;
  if (index == none) return false;
  free_writers_ = writers_[index].next;
  writers_[index] = {entry.value, pages_[page].writers};
  pages_[page].writers = index;
  return true;
}

void ShadowPages::remove_writer(u32 page, HostPhysical entry) {
  for (u32* link = &pages_[page].writers; *link != none; link = &writers_[*link].next) {
    const u32 index = *link;
    if (writers_[index].entry != entry.value) continue;
    *link = writers_[index].next;
    writers_[index] = {0, free_writers_};
    free_writers_ = index;
    return;
  }
}

bool ShadowPages::write_protect(u32 page) {
  const bool some = pages_[page].writers != none;
  while (pages_[page].writers != none) {
    const u32 index = pages_[page].writers;
    const HostPhysical entry(writers_[index].entry);
    hardware_.store(entry, 8, hardware_.load(entry, 8) & ~pte::RW);
    pages_[page].writers = writers_[index].next;
    writers_[index] = {0, free_writers_};
    free_writers_ = index;
  }
  return some;
}

}  // namespace bunshin::vmm
