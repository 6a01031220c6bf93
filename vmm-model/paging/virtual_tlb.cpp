#include "vmm-model/paging/virtual_tlb.h"

namespace bunshin::vmm {

namespace {

/// Bits of our directory entries that are software's: the tables below hold pieces of a large page of the guest's, or of half
/// of one, a 4 MiB page's other half being next to it.
constexpr u64 pieces = 1 << 9, half = 1 << 11;
static_assert(((pieces | half) & shadow::foreign) == 0);

}  // namespace

bool VirtualTlb::start() {
  context_.execution.intercept_invlpg(true);
  return flush();
}

bool VirtualTlb::flush() {
  release_tables();
  ++counters_.flushes;
  keep_page_directory_pointers();
  levels_ = shadow::levels(controls());
  roots_ = {};
  for (unsigned view = 0; view < views(); ++view) {
    roots_[view] = add_table();
    if (roots_[view].value == 0) return false;
    use_shadow(view, roots_[view]);
  }
  return true;
}

// A flush must not have to search tables for tables: all are in a list, pages of addresses whose first leads to the next page.
HostPhysical VirtualTlb::add_table() {
  if (list_.value == 0 || list_used_ == shadow::entries) {
    const HostPhysical page = new_table();
    if (page.value == 0) return page;
    context_.hardware.store(page, 8, list_.value);
    list_ = page;
    list_used_ = 1;
  }
  const HostPhysical table = new_table();
  if (table.value != 0) context_.hardware.store(list_ + 8 * list_used_++, 8, table.value);
  return table;
}

void VirtualTlb::release_tables() {
  while (list_.value != 0) {
    for (unsigned i = 1; i < list_used_; ++i) release_table(HostPhysical(context_.hardware.load(list_ + 8 * i, 8)));
    const HostPhysical next(context_.hardware.load(list_, 8));
    release_table(list_);
    list_ = next;
    list_used_ = shadow::entries;
  }
}

/// `shift`: log2 of the guest's page, of which `leaf` is a piece.
bool VirtualTlb::fill(unsigned view, Linear address, u64 leaf, unsigned shift) {
  HostPhysical table = roots_[view];
  for (unsigned level = levels_; level > 1; --level) {
    const HostPhysical at = table + 8 * shadow::index_of(address.value, level);
    const u64 entry = context_.hardware.load(at, 8);
    const bool holds_pieces = shift >= shadow::shift_of(level) && shift < shadow::shift_of(level + 1);
    const u64 mark = holds_pieces ? pieces | (shift == shadow::shift_of(level) + 1 ? half : 0) : 0;
    if ((entry & pte::P) != 0) {
      table = HostPhysical(entry & entry_address_bits);
      if ((mark & ~entry) != 0) context_.hardware.store(at, 8, entry | mark);
      continue;
    }
    table = add_table();
    if (table.value == 0) return false;
    context_.hardware.store(at, 8, shadow::table_entry(table.value, level, levels_) | mark);
    // Processors keep the page-directory-pointer entries of PAE in registers, loaded with CR3 (SDM vol. 3, 4.4.1).
    if (levels_ == 3 && level == 3) use_shadow(view, roots_[view]);
  }
  context_.hardware.store(table + 8 * shadow::index_of(address.value, 1), 8, leaf);
  return true;
}

FaultResult VirtualTlb::fault(const Exit& exit) {
  const PagingControls c = controls();
  const WalkAccess access = faulting_access(exit.error_code);
  const GuestTranslation t = walk_guest(context_.memory, c, Linear(exit.address), access, true);
  if (t.fault) return hand_on(t);
  const GuestPhysical page = t.address.page();
  if (!context_.memory.contains(page, page_size)) return {FaultOutcome::Emulate, 0, t.address};
  const bool trapped = traps_writes(page);
  if ((trapped && access.write) || shadow::hidden_from_smap(t, c, access)) return {FaultOutcome::Emulate, 0, t.address};
  ++counters_.fills;
  const unsigned view = view_of(access);
  u64 leaf = shadow::leaf_entry(context_.memory.host(page), t, c, access) | forced_rights(view);
  if (trapped) leaf &= ~pte::RW;
  if (fill(view, Linear(exit.address), leaf, t.shift)) return {FaultOutcome::Resume, 0, t.address};
  // Everything can be filled again.
  if (!flush() || !fill(view, Linear(exit.address), leaf, t.shift)) return {FaultOutcome::NoMemory, 0, t.address};
  return {FaultOutcome::Resume, 0, t.address};
}

void VirtualTlb::invalidate(Linear address) {
  for (unsigned view = 0; view < views(); ++view) invalidate(view, address);
}

// There is no way back from a page to the entries that map it.
void VirtualTlb::trap_writes(GuestPhysical) { flush(); }

// INVLPG drops a large page as a whole (SDM vol. 3, 4.10.4.1).
void VirtualTlb::invalidate(unsigned view, Linear address) {
  HostPhysical table = roots_[view];
  for (unsigned level = levels_; level > 1; --level) {
    const HostPhysical at = table + 8 * shadow::index_of(address.value, level);
    const u64 entry = context_.hardware.load(at, 8);
    if (level == 2 && (context_.hardware.load(HostPhysical(at.value ^ 8), 8) & half) != 0) {
      empty_table(HostPhysical(at.value ^ 8));
    }
    if ((entry & pte::P) == 0 || (entry & shadow::foreign) != 0) return;
    if ((entry & pieces) != 0) return empty_table(at);
    table = HostPhysical(entry & entry_address_bits);
  }
  context_.hardware.store(table + 8 * shadow::index_of(address.value, 1), 8, 0);
}

/// What the entry at `at` leads to, if it does.
void VirtualTlb::empty_table(HostPhysical at) {
  const u64 entry = context_.hardware.load(at, 8);
  if ((entry & pte::P) == 0 || (entry & shadow::foreign) != 0) return;
  context_.hardware.clear(HostPhysical(entry & entry_address_bits), page_size);
  context_.execution.flush_translations();
}

}  // namespace bunshin::vmm
