#include "vmm-model/paging/shadow_paging.h"

#include <algorithm>
#include <bit>

namespace bunshin::vmm {

namespace {

constexpr u32 none = ShadowPages::none;
/// Entries that one fault fills: a line of the table.
constexpr unsigned line_entries = 8;
using Line = std::array<u64, line_entries>;

}  // namespace

bool ShadowPaging::start() {
  context_.execution.intercept_invlpg(false);
  if (!pages_.start()) return false;
  if (context_.physical_bits <= shadow::widest_with_unfilled && context_.execution.pass_missing_pages()) {
    trap_directory_ = new_table();
    if (trap_directory_.value == 0) return false;
    for (unsigned i = 0; i < shadow::entries; ++i)
      context_.hardware.store(trap_directory_ + 8 * i, 8, shadow::unfilled);
    passes_missing_ = true;
  }
  return load_root();
}

u32 ShadowPaging::add_table(unsigned level) {
  const u32 table = pages_.allocate();
  if (table == none) return none;
  if (!passes_missing_) {
    context_.hardware.clear(pages_.address(table), page_size);
    return table;
  }
  for (unsigned i = 0; i < shadow::entries; ++i) {
    context_.hardware.store(pages_.address(table) + 8 * i, 8, absent(level));
  }
  return table;
}

u32 ShadowPaging::add_shadow(const ShadowKey& key) {
  const u32 table = pages_.allocate(key);
  if (table == none) return none;
  if (pages_.write_protect(key.page)) context_.execution.flush_translations();
  if (passes_missing_) {
    mark_missing(table);
  } else {
    context_.hardware.clear(pages_.address(table), page_size);
  }
  return table;
}

/// An entry of 4 bytes in a page directory is two of ours.
unsigned ShadowPaging::guest_index(const ShadowKey& key, unsigned index) {
  if (!key.narrow) return index;
  return key.level == 2 ? key.quadrant * 256u + index / 2 : key.quadrant * 512u + index;
}

u64 ShadowPaging::guest_entry(const ShadowKey& key, unsigned guest_index) const {
  const unsigned bytes = key.narrow ? 4 : 8;
  u64 entry = 0;
  context_.memory.load(context_.memory.page_at(key.page) + u64{guest_index} * bytes, bytes, entry);
  return entry;
}

void ShadowPaging::mark_missing(u32 table) {
  const ShadowKey key = pages_.table(table).key;
  const unsigned bytes = key.narrow ? 4 : 8;
  const GuestPhysical guest = context_.memory.page_at(key.page);
  std::array<u8, sizeof(Line)> theirs{};
  for (unsigned i = 0; i < shadow::entries; i += line_entries) {
    const unsigned first = guest_index(key, i), count = guest_index(key, i + line_entries - 1) - first + 1;
    context_.memory.read(guest + u64{first} * bytes, std::span(theirs).first(std::size_t{count} * bytes));
    Line ours{};
    for (unsigned n = 0; n < line_entries; ++n) {
      const std::size_t at = std::size_t{guest_index(key, i + n) - first} * bytes;
      ours[n] = (theirs[at] & pte::P) != 0 ? absent(key.level) : 0;
    }
    context_.hardware.write(pages_.address(table) + 8 * i, std::bit_cast<std::array<u8, sizeof(Line)>>(ours));
  }
}

void ShadowPaging::count_tables() {
  counters_.table_pages = pages_.in_use();
  counters_.most_pages = std::max(counters_.most_pages, counters_.table_pages);
}

void ShadowPaging::forget_all() {
  ++counters_.flushes;
  pages_.release_all();
  roots_ = own_roots_ = {none, none};
}

// In long mode the guest's root table has a shadow like every other. PAE's four entries are registers, 32-bit paging has half
// as large entries, and a guest that does not page has no table: these get a root of our own, filled on faults.
bool ShadowPaging::load_root(unsigned view) {
  const PagingControls c = controls();
  u32& root = roots_[view];
  const GuestPhysical table(c.cr3 & entry_address_bits);
  if (c.mode() == PagingMode::FourLevel && context_.memory.contains(table, page_size)) {
    const ShadowKey key{static_cast<u32>(context_.memory.page_index(table)), 4, 0, false, static_cast<u8>(view)};
    root = pages_.find(key);
    if (root == none) {
      root = add_shadow(key);
      if (root == none) return false;
    }
    pages_.table(root).writes = 0;
  } else {
    u32& own = own_roots_[view];
    const bool fresh = own == none;
    if (fresh) own = add_table(levels_);
    if (own == none) return false;
    root = own;
    if (!fresh) drop_entries(root);
    link_root(c, view);
  }
  use_shadow(view, pages_.address(root));
  return true;
}

// What is there from the last time that CR3 led to it need not be found by faults.
void ShadowPaging::link_root(const PagingControls& c, unsigned view) {
  constexpr u64 allowed = pte::P | pte::PWT | pte::PCD | 0xe00;  // the rest is reserved (SDM vol. 3, table 4-8)
  const bool narrow = c.mode() == PagingMode::TwoLevel;
  if (!narrow && c.mode() != PagingMode::Pae) return;
  for (unsigned i = 0; i < shadow::page_directory_pointers; ++i) {
    const u64 pointer = narrow ? (c.cr3 & 0xffff'f000) | pte::P : (*c.page_directory_pointers)[i];
    const GuestPhysical directory(pointer & entry_address_bits);
    const bool good = (pointer & (pte::P | ~(entry_address_bits | allowed))) == pte::P;
    if (!good || !context_.memory.contains(directory, page_size)) continue;
    const u32 page = static_cast<u32>(context_.memory.page_index(directory));
    const u32 found = pages_.find({page, 2, static_cast<u8>(narrow ? i : 0), narrow, static_cast<u8>(view)});
    if (found != none) link(pages_.address(roots_[view]) + 8 * i, found, pages_.address(found).value | pte::P);
  }
}

void ShadowPaging::link(HostPhysical at, u32 child, u64 entry) {
  ShadowPages::Table& t = pages_.table(child);
  ++t.parents;
  t.parent = at.value;
  t.writes = 0;
  context_.hardware.store(at, 8, entry);
}

bool ShadowPaging::load_root() {
  keep_page_directory_pointers();
  levels_ = shadow::levels(controls());
  bool done = true;
  for (unsigned view = 0; view < views(); ++view) done = done && load_root(view);
  count_tables();
  return done;
}

bool ShadowPaging::root_written() {
  if (load_root()) return true;
  forget_all();
  return load_root();
}

bool ShadowPaging::controls_written() {
  forget_all();
  return load_root();
}

/// What the entry of `level` that leads to `child` allows: what the guest's allows.
u64 ShadowPaging::upper_entry(const Mapping& m, unsigned level, u32 child) {
  const u64 table = pages_.address(child).value;
  if (level == 3 && levels_ == 3) return table | pte::P;
  const u64 all = table | pte::P | pte::RW | pte::US | pte::A;
  if (level <= m.found.leaf_level || level > m.found.levels) return all;
  const u64 guest = m.found.steps[level].entry;
  u64 entry = table | pte::P | pte::A | (guest & (pte::RW | pte::US)) | forced_rights(m.view);
  if (m.controls.no_execute() && m.controls.mode() != PagingMode::TwoLevel) entry |= guest & pte::XD;
  return entry;
}

/// The table below `level`: the shadow of the guest's, or one for pieces of what the guest maps as a whole.
u32 ShadowPaging::child_of(const Mapping& m, unsigned level, u64 linear) {
  const unsigned below = level - 1;
  if (below < m.found.leaf_level || m.found.levels == 0 || below > m.found.levels) return add_table(below);
  const GuestPhysical table = m.found.steps[below].address.page();
  if (!context_.memory.contains(table, page_size)) return add_table(below);
  ShadowKey key{static_cast<u32>(context_.memory.page_index(table)), static_cast<u8>(below), 0,
                m.controls.mode() == PagingMode::TwoLevel, static_cast<u8>(m.view)};
  if (key.narrow) key.quadrant = static_cast<u8>(below == 2 ? linear >> 30 & 3 : linear >> 21 & 1);
  const u32 found = pages_.find(key);
  return found != none ? found : add_shadow(key);
}

bool ShadowPaging::set_leaf(HostPhysical at, const Leaf& leaf) {
  const u32 number = static_cast<u32>(context_.memory.page_index(leaf.page));
  drop_entry(at, 1);
  u64 entry = context_.memory.host(leaf.page).value | pte::P | pte::A | pte::D | (leaf.guest_entry & pte::US) |
              forced_rights(leaf.view);
  if (!leaf.executable) entry |= pte::XD;
  const bool writable = (leaf.guest_entry & pte::RW) != 0 && (!leaf.tracked || (leaf.guest_entry & pte::D) != 0);
  if (writable && !pages_.shadowed(number) && !traps_writes(leaf.page)) {
    if (!pages_.add_writer(number, at)) return false;
    entry |= pte::RW;
  }
  context_.hardware.store(at, 8, entry);
  return true;
}

void ShadowPaging::trap_writes(GuestPhysical page) {
  if (pages_.write_protect(static_cast<u32>(context_.memory.page_index(page)))) {
    context_.execution.flush_translations();
  }
}

bool ShadowPaging::takes_write(GuestPhysical page) {
  const bool table = pages_.shadowed(static_cast<u32>(context_.memory.page_index(page)));
  counters_.table_writes += table ? 1 : 0;
  return table;
}

bool ShadowPaging::map(const Mapping& m) {
  u32 table = roots_[m.view];
  for (unsigned level = levels_; level > 1; --level) {
    const HostPhysical at = pages_.address(table) + 8 * shadow::index_of(m.linear, level);
    const u64 entry = context_.hardware.load(at, 8);
    pages_.table(table).writes = 0;
    if (present(entry, level)) {
      table = pages_.index_of(entry & entry_address_bits);
      continue;
    }
    const u32 child = child_of(m, level, m.linear);
    if (child == none) return false;
    link(at, child, upper_entry(m, level, child));
    // Processors keep the page-directory-pointer entries of PAE in registers, loaded with CR3 (SDM vol. 3, 4.4.1).
    if (levels_ == 3 && level == 3) use_shadow(m.view, pages_.address(roots_[m.view]));
    table = child;
  }
  pages_.table(table).writes = 0;
  count_tables();
  const HostPhysical at = pages_.address(table) + 8 * shadow::index_of(m.linear, 1);
  const bool paging = m.found.levels != 0;
  const u64 leaf = paging ? m.found.steps[m.found.leaf_level].entry : pte::RW | pte::US;
  const bool executable =
      !m.controls.no_execute() || m.controls.mode() == PagingMode::TwoLevel || (leaf & pte::XD) == 0;
  const Leaf wanted{leaf, m.found.address.page(), paging, executable || !paging, m.view};
  if (!set_leaf(at, wanted)) return false;
  if (fills_ahead()) fill_line(m, table, wanted);
  return true;
}

void ShadowPaging::fill_line(const Mapping& m, u32 table, const Leaf& leaf) {
  const bool of_guests_table = m.found.levels != 0 && m.found.leaf_level == 1;
  const unsigned own = shadow::index_of(m.linear, 1), first = own & ~(line_entries - 1);
  const ShadowKey key = pages_.table(table).key;
  for (unsigned i = first; i < first + line_entries; ++i) {
    const HostPhysical at = pages_.address(table) + 8 * i;
    if (i == own || context_.hardware.load(at, 8) != absent(1)) continue;
    if (of_guests_table) {
      propagate(table, i, guest_entry(key, guest_index(key, i)));
      continue;
    }
    Leaf piece = leaf;
    piece.page = leaf.page + (u64{i} - own) * page_size;
    if (context_.memory.contains(piece.page, page_size)) set_leaf(at, piece);
  }
}

FaultResult ShadowPaging::fault(const Exit& exit) {
  const PagingControls c = controls();
  const WalkAccess access = faulting_access(exit.error_code);
  const GuestTranslation t = walk_guest(context_.memory, c, Linear(exit.address), access, true);
  if (t.fault) return hand_on(t);
  const GuestPhysical page = t.address.page();
  if (!context_.memory.contains(page, page_size)) return {FaultOutcome::Emulate, 0, t.address};
  const bool table = access.write && pages_.shadowed(static_cast<u32>(context_.memory.page_index(page)));
  const bool trapped = access.write && traps_writes(page);
  // The hardware has CR0.WP set; for a guest that has not, the hypervisor writes.
  if (table || trapped || (access.write && !t.writable)) {
    counters_.table_writes += table ? 1 : 0;
    return {FaultOutcome::Emulate, 0, t.address};
  }
  ++counters_.fills;
  const Mapping m{c, t, exit.address, view_of(access)};
  if (map(m)) return {FaultOutcome::Resume, 0, t.address};
  forget_all();
  return {load_root() && map(m) ? FaultOutcome::Resume : FaultOutcome::NoMemory, 0, t.address};
}

}  // namespace bunshin::vmm
