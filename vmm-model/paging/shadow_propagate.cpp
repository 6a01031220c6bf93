// What a write to a guest's page table does to its shadow.

#include <algorithm>

#include "vmm-model/paging/shadow_paging.h"

namespace bunshin::vmm {

namespace {

constexpr u32 none = ShadowPages::none;

}  // namespace

void ShadowPaging::drop_entry(HostPhysical at, unsigned level) {
  const u64 entry = context_.hardware.load(at, 8);
  if (!present(entry, level) || (level > 1 && (entry & shadow::foreign) != 0)) return;
  context_.hardware.store(at, 8, absent(level));
  if (level > 1) return unlink_child(pages_.index_of(entry & entry_address_bits), at, level);
  if ((entry & pte::RW) == 0) return;
  const GuestPhysical page = context_.memory.guest(HostPhysical(entry & entry_address_bits));
  pages_.remove_writer(static_cast<u32>(context_.memory.page_index(page)), at);
}

void ShadowPaging::drop_entries(u32 table) {
  const unsigned level = is_own_root(table) ? levels_ : pages_.table(table).key.level;
  const HostPhysical address = pages_.address(table);
  const unsigned count = level == 3 && levels_ == 3 ? shadow::page_directory_pointers : shadow::entries;
  for (unsigned i = 0; i < count; ++i) drop_entry(address + 8 * i, level);
}

void ShadowPaging::unlink_child(u32 child, HostPhysical from, unsigned level) {
  ShadowPages::Table& t = pages_.table(child);
  --t.parents;
  if (t.parent == from.value) t.parent = 0;
  // What a root leads to is kept for the next time that one does: PAE's registers are loaded with CR3, and in long mode a
  // kernel may copy a root from another at each switch, as Xen does against Meltdown.
  const bool of_root = t.keyed && level == levels_;
  if (t.parents != 0 || of_root) return;
  if (!t.keyed) t.key.level = static_cast<u8>(level - 1);
  remove_table(child);
}

void ShadowPaging::remove_table(u32 table) {
  if (is_root(table)) return;
  drop_entries(table);
  pages_.release(table);
  // The hardware may still walk it from its caches.
  context_.execution.flush_translations();
}

// One parent is remembered; several are looked for.
void ShadowPaging::remove_parents(u32 table) {
  const u64 address = pages_.address(table).value;
  const unsigned level = pages_.table(table).key.level + 1u;
  if (pages_.table(table).parents == 1 && pages_.table(table).parent != 0) {
    context_.hardware.store(HostPhysical(pages_.table(table).parent), 8, absent(level));
    pages_.table(table).parents = 0;
    return;
  }
  for (u32 i = 0; i < pages_.count() && pages_.table(table).parents != 0; ++i) {
    const ShadowPages::Table& t = pages_.table(i);
    if (!t.used || (t.keyed ? t.key.level != level : !is_own_root(i) || levels_ != level)) continue;
    for (unsigned e = 0; e < shadow::entries; ++e) {
      const HostPhysical at = pages_.address(i) + 8 * e;
      if ((context_.hardware.load(at, 8) & (entry_address_bits | pte::P)) != (address | pte::P)) continue;
      context_.hardware.store(at, 8, absent(level));
      --pages_.table(table).parents;
    }
  }
}

// The table in use as root cannot go: everything goes then, and comes again.
bool ShadowPaging::give_up_table(GuestPhysical address) {
  const u32 page = static_cast<u32>(context_.memory.page_index(address.page()));
  if (!pages_.shadowed(page)) return false;
  for (u32 i = pages_.first_of(page); i != none; i = pages_.first_of(page)) {
    if (is_root(i)) {
      forget_all();
      return load_root();
    }
    remove_parents(i);
    remove_table(i);
  }
  count_tables();
  return true;
}

bool ShadowPaging::holds_root(u32 page) const {
  for (u32 i = pages_.first_of(page); i != none; i = pages_.table(i).next) {
    if (is_root(i)) return true;
  }
  return false;
}

// Not the root in use, which would be back at once.
bool ShadowPaging::overwritten(GuestPhysical address) {
  if (!context_.memory.contains(address.page(), page_size)) return false;
  return !holds_root(static_cast<u32>(context_.memory.page_index(address.page()))) && give_up_table(address);
}

// Dropping an entry of one table may end another that shadows the same page on another level.
void ShadowPaging::table_page_written(u32 page, unsigned first, unsigned last) {
  constexpr u32 root_writes = 3;  // a root that is written and not used was freed
  std::array<u32, ShadowPages::max_roles> tables{};
  unsigned count = 0;
  for (u32 i = pages_.first_of(page); i != none && count < tables.size(); i = pages_.table(i).next) tables[count++] = i;
  for (unsigned n = 0; n < count; ++n) {
    const u32 i = tables[n];
    const ShadowPages::Table& t = pages_.table(i);
    const auto still = [&] { return t.used && t.keyed && t.key.page == page; };
    if (!still()) continue;
    const unsigned shift = t.key.narrow ? 2 : 3;
    for (unsigned index = first >> shift; index <= last >> shift && still(); ++index) entry_written(i, index);
    if (still() && t.parents == 0 && ++pages_.table(i).writes > root_writes) remove_table(i);
  }
}

void ShadowPaging::memory_written(GuestPhysical address, u64 bytes) {
  for (u64 at = address.value; at < address.value + bytes;) {
    const u64 end = std::min(address.value + bytes, (at | (page_size - 1)) + 1);
    const u32 page = static_cast<u32>(context_.memory.page_index(GuestPhysical(at)));
    const unsigned first = static_cast<unsigned>(at & (page_size - 1));
    if (pages_.shadowed(page)) table_page_written(page, first, first + static_cast<unsigned>(end - at) - 1);
    at = end;
  }
}

// A 4-byte entry of a page directory is two of ours, in the quarter of the address space that the shadow is for.
void ShadowPaging::entry_written(u32 table, unsigned guest_index) {
  const ShadowKey key = pages_.table(table).key;
  const HostPhysical address = pages_.address(table);
  const unsigned split = key.narrow && key.level == 2 ? 2 : 1, of_guest = shadow::entries / split;
  if (key.narrow && guest_index / of_guest != key.quadrant) return;
  const unsigned index = guest_index % of_guest * split;
  const u64 entry = guest_entry(key, guest_index);
  for (unsigned i = index; i < index + split; ++i) reset_entry(address + 8 * i, key.level, entry);
  if (key.level == 1) propagate(table, index, entry);
}

void ShadowPaging::reset_entry(HostPhysical at, unsigned level, u64 guest_entry) {
  drop_entry(at, level);
  if (passes_missing_) context_.hardware.store(at, 8, (guest_entry & pte::P) != 0 ? absent(level) : 0);
}

void ShadowPaging::propagate(u32 table, unsigned index, u64 entry) {
  const ShadowKey key = pages_.table(table).key;
  if ((entry & (pte::P | pte::A)) != (pte::P | pte::A)) return;
  const u64 high = key.narrow ? 0 : entry & ~entry_address_bits & ~((u64{1} << 52) - 1);
  if (high != 0) {
    const PagingControls c = controls();
    const bool wide = c.mode() == PagingMode::FourLevel;
    if ((high & pte::XD) != 0 && !c.no_execute()) return;
    if (!wide && (high & ~pte::XD) != 0) return;  // reserved
  }
  const GuestPhysical page(key.narrow ? entry & 0xffff'f000 : entry & entry_address_bits);
  if (!context_.memory.contains(page, page_size)) return;
  set_leaf(pages_.address(table) + 8 * index, {entry, page, true, (high & pte::XD) == 0, key.view});
}

}  // namespace bunshin::vmm
