#include "vmm-model/paging/virtual_tlb.h"

namespace bunshin::vmm {

namespace {
constexpr u64 piece_of_large_page = 1 << 9;
}

bool VirtualTlb::start() {
  context_.execution.intercept_invlpg(true);
  return flush();
}

bool VirtualTlb::flush() {
  for (const HostPhysical root : roots_) {
    if (root.value != 0) release_tree(root, levels_);
  }
  ++counters_.flushes;
  levels_ = shadow::levels(controls());
  roots_ = {};
  for (unsigned view = 0; view < views(); ++view) {
    roots_[view] = new_table();
    if (roots_[view].value == 0) return false;
    use_shadow(view, roots_[view]);
  }
  return true;
}

void VirtualTlb::release_tree(HostPhysical table, unsigned level) {
  for (unsigned i = 0; level > 1 && i < shadow::entries; ++i) {
    const u64 entry = context_.hardware.load(table + 8 * i, 8);
    if ((entry & (pte::P | shadow::foreign)) == pte::P)
      release_tree(HostPhysical(entry & entry_address_bits), level - 1);
  }
  release_table(table);
}

// A directory entry's bit 9, which is software's, says that pieces of large pages lie below.
bool VirtualTlb::fill(unsigned view, Linear address, u64 leaf, bool piece) {
  HostPhysical table = roots_[view];
  for (unsigned level = levels_; level > 1; --level) {
    const HostPhysical at = table + 8 * shadow::index_of(address.value, level);
    const u64 entry = context_.hardware.load(at, 8);
    const u64 mark = piece && level == 2 ? piece_of_large_page : 0;
    if ((entry & pte::P) != 0) {
      table = HostPhysical(entry & entry_address_bits);
      if ((mark & ~entry) != 0) context_.hardware.store(at, 8, entry | mark);
      continue;
    }
    table = new_table();
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
  if (t.fault) {
    ++counters_.guest_faults;
    return {FaultOutcome::Inject, t.error_code, {}};
  }
  if (!context_.memory.contains(t.address.page(), page_size)) return {FaultOutcome::Emulate, 0, t.address};
  const bool trapped = traps_writes(t.address.page());
  if (trapped && access.write) return {FaultOutcome::Emulate, 0, t.address};
  ++counters_.fills;
  const unsigned view = view_of(access);
  const u64 leaf =
      shadow::leaf_entry(context_.memory.host(t.address.page()), t, c, access, trapped) | forced_rights(view);
  const bool piece = t.shift > page_shift;
  if (fill(view, Linear(exit.address), leaf, piece)) return {FaultOutcome::Resume, 0, t.address};
  // Everything can be filled again.
  if (!flush() || !fill(view, Linear(exit.address), leaf, piece)) return {FaultOutcome::NoMemory, 0, t.address};
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
  for (unsigned level = levels_; level > 2; --level) {
    const u64 entry = context_.hardware.load(table + 8 * shadow::index_of(address.value, level), 8);
    if ((entry & pte::P) == 0) return;
    table = HostPhysical(entry & entry_address_bits);
  }
  const HostPhysical at = table + 8 * shadow::index_of(address.value, 2);
  const u64 entry = context_.hardware.load(at, 8);
  if ((entry & pte::P) == 0) return;
  const HostPhysical pages(entry & entry_address_bits);
  if ((entry & piece_of_large_page) == 0) {
    context_.hardware.store(pages + 8 * shadow::index_of(address.value, 1), 8, 0);
    return;
  }
  context_.hardware.store(at, 8, 0);
  release_tree(pages, 1);
  context_.execution.flush_translations();
}

}  // namespace bunshin::vmm
