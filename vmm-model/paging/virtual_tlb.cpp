#include "vmm-model/paging/virtual_tlb.h"

#include <cstring>

namespace bunshin::vmm {

namespace {

/// Bits of our directory entries that are software's: the tables below hold pieces of a large page of the guest's, or of half
/// of one, a 4 MiB page's other half being next to it.
constexpr u64 pieces = 1 << 9, half = 1 << 11;
static_assert(((pieces | half) & shadow::foreign) == 0);

/// Of our leaves: a load of CR3 leaves the translation alone. And of a line's first entry, present or not: the line is in the list.
constexpr u64 global_leaf = 1 << 10;
constexpr std::array<u64, 2> noted{1 << 9, 1 << 11};
constexpr u64 noted_any = noted[0] | noted[1];

/// A real TLB reaches less far. Beyond it empty tables are not worth their memory.
constexpr u64 most_kept_tables = 256;

}  // namespace

bool VirtualTlb::start() {
  context_.execution.intercept_invlpg(true);
  return rebuild();
}

bool VirtualTlb::add_to(AddressList& list, HostPhysical address) {
  if (list.full()) {
    const HostPhysical page = new_table();
    if (page.value == 0) return false;
    list.add_page(page);
  }
  list.add(address);
  return true;
}

HostPhysical VirtualTlb::add_table() {
  const HostPhysical table = new_table();
  if (table.value == 0) return table;
  if (!add_to(tables_, table)) {
    release_table(table);
    return HostPhysical(0);
  }
  ++table_count_;
  return table;
}

bool VirtualTlb::rebuild() {
  const auto release = [this](HostPhysical page) { release_table(page); };
  for (AddressList& list : lines_) list.take_all([](HostPhysical) {}, release);
  tables_.take_all(release, release);
  ++counters_.flushes;
  table_count_ = 0;
  keep_page_directory_pointers();
  levels_ = shadow::levels(controls());
  roots_ = {};
  for (unsigned view = 0; view < views(); ++view) {
    roots_[view] = add_table();
    if (roots_[view].value == 0 || roots_[view].value >= shadow::root_limit) return false;
    use_shadow(view, roots_[view]);
  }
  return true;
}

void VirtualTlb::empty_line(HostPhysical line, bool globals) {
  if (globals || (context_.hardware.load(line, 8) & noted[1]) == 0) return context_.hardware.clear(line, line_bytes);
  for (unsigned i = 0; i < line_entries; ++i) {
    const u64 entry = context_.hardware.load(line + 8 * i, 8);
    context_.hardware.store(line + 8 * i, 8, (entry & global_leaf) != 0 ? entry & ~noted[0] : entry & noted[1]);
  }
}

bool VirtualTlb::flush(bool globals) {
  if (table_count_ > most_kept_tables || shadow::levels(controls()) != levels_) return rebuild();
  const auto release = [this](HostPhysical page) { release_table(page); };
  const auto empty = [&](HostPhysical line) { empty_line(line, globals); };
  lines_[0].take_all(empty, release);
  if (globals) lines_[1].take_all(empty, release);
  ++counters_.flushes;
  keep_page_directory_pointers();
  context_.execution.flush_translations();
  return true;
}

bool VirtualTlb::root_written() { return flush(false); }
bool VirtualTlb::rights_written() { return flush(true); }

HostPhysical VirtualTlb::leaf_table(const Page& page) {
  const unsigned shift = page.found.shift;
  HostPhysical table = roots_[page.view];
  for (unsigned level = levels_; level > 1; --level) {
    const HostPhysical at = table + 8 * shadow::index_of(page.linear, level);
    const u64 entry = context_.hardware.load(at, 8);
    const bool holds_pieces = shift >= shadow::shift_of(level) && shift < shadow::shift_of(level + 1);
    const u64 mark = holds_pieces ? pieces | (shift == shadow::shift_of(level) + 1 ? half : 0) : 0;
    if ((entry & pte::P) != 0) {
      table = HostPhysical(entry & entry_address_bits);
      if ((mark & ~entry) != 0) context_.hardware.store(at, 8, entry | mark);
      continue;
    }
    table = add_table();
    if (table.value == 0) return table;
    context_.hardware.store(at, 8, shadow::table_entry(table.value, level, levels_) | mark);
    // Processors keep the page-directory-pointer entries of PAE in registers, loaded with CR3 (SDM vol. 3, 4.4.1).
    if (levels_ == 3 && level == 3) use_shadow(page.view, roots_[page.view]);
  }
  return table;
}

u64 VirtualTlb::leaf(const GuestTranslation& t, const PagingControls& c, WalkAccess access, unsigned view) {
  const GuestPhysical page = t.address.page();
  u64 entry = shadow::leaf_entry(context_.memory.host(page), t, c, access) | forced_rights(view);
  if (traps_writes(page)) entry &= ~pte::RW;
  return t.global ? entry | global_leaf : entry;
}

/// The first entry of a line carries the line's marks.
void VirtualTlb::put(HostPhysical at, u64 entry) {
  if (at.value % line_bytes == 0) entry |= context_.hardware.load(at, 8) & noted_any;
  context_.hardware.store(at, 8, entry);
}

bool VirtualTlb::note_line(HostPhysical line, bool global) {
  const u64 first = context_.hardware.load(line, 8);
  if ((first & noted[global]) != 0) return true;
  if (!add_to(lines_[global], line)) return false;
  context_.hardware.store(line, 8, first | noted[global]);
  return true;
}

bool VirtualTlb::fill(const Page& page, const PagingControls& c) {
  const HostPhysical table = leaf_table(page);
  if (table.value == 0) return false;
  const HostPhysical at = table + 8 * shadow::index_of(page.linear, 1), line(at.value & ~(line_bytes - 1));
  if (!note_line(line, page.found.global)) return false;
  put(at, leaf(page.found, c, page.access, page.view));
  if (fills_ahead()) fill_line(page, c, line);
  return true;
}

void VirtualTlb::fill_line(const Page& page, const PagingControls& c, HostPhysical line) {
  const GuestTranslation& found = page.found;
  const bool whole = found.levels == 0 || found.shift >= page_shift + 3;  // one page of the guest's all along
  const unsigned entry_bytes = c.mode() == PagingMode::TwoLevel ? 4 : 8;
  const u64 own = page.linear >> page_shift & (line_entries - 1);
  std::array<u8, line_bytes> entries{};
  const std::span<u8> used = std::span(entries).first(std::size_t{line_entries} * entry_bytes);
  const GuestPhysical first_entry(found.steps[1].address.value & ~(used.size() - 1));
  if (!whole && !context_.memory.read(first_entry, used)) return;
  for (unsigned i = 0; i < line_entries; ++i) {
    if (i == own || (context_.hardware.load(line + 8 * i, 8) & pte::P) != 0) continue;
    GuestTranslation t = found;
    if (whole) {
      t.address = found.address.page() + (u64{i} - own) * page_size;
    } else {
      u64 entry = 0;
      std::memcpy(&entry, &used[std::size_t{i} * entry_bytes], entry_bytes);
      t = speculative_translation(c, found, entry);
    }
    if (t.fault || t.global != found.global || !context_.memory.contains(t.address, page_size)) continue;
    put(line + 8 * i, leaf(t, c, {}, page.view));
  }
}

FaultResult VirtualTlb::fault(const Exit& exit) {
  const PagingControls c = controls();
  const WalkAccess access = faulting_access(exit.error_code);
  const GuestTranslation t = walk_guest(context_.memory, c, Linear(exit.address), access, true);
  if (t.fault) return hand_on(t);
  const GuestPhysical page = t.address.page();
  if (!context_.memory.contains(page, page_size)) return {FaultOutcome::Emulate, 0, t.address};
  if ((access.write && traps_writes(page)) || shadow::hidden_from_smap(t, c, access)) {
    return {FaultOutcome::Emulate, 0, t.address};
  }
  ++counters_.fills;
  const Page wanted{t, access, exit.address, view_of(access)};
  // Without memory: everything can be filled again.
  const bool done = fill(wanted, c) || (rebuild() && fill(wanted, c));
  return {done ? FaultOutcome::Resume : FaultOutcome::NoMemory, 0, t.address};
}

void VirtualTlb::invalidate(Linear address) {
  for (unsigned view = 0; view < views(); ++view) invalidate(view, address);
}

// There is no way back from a page to the entries that map it.
void VirtualTlb::trap_writes(GuestPhysical) { flush(true); }

// INVLPG drops a large page as a whole (SDM vol. 3, 4.10.4.1).
void VirtualTlb::invalidate(unsigned view, Linear address) {
  HostPhysical table = roots_[view];
  for (unsigned level = levels_; level > 1; --level) {
    const HostPhysical at = table + 8 * shadow::index_of(address.value, level);
    const u64 entry = context_.hardware.load(at, 8);
    if (level == 2 && (context_.hardware.load(HostPhysical(at.value ^ 8), 8) & half) != 0) {
      empty_table(HostPhysical(at.value ^ 8), level);
    }
    if ((entry & pte::P) == 0 || (entry & shadow::foreign) != 0) return;
    if ((entry & pieces) != 0) return empty_table(at, level);
    table = HostPhysical(entry & entry_address_bits);
  }
  put(table + 8 * shadow::index_of(address.value, 1), 0);
}

/// Of what the entry at `at` of a table of `level` leads to, if it does.
void VirtualTlb::empty_table(HostPhysical at, unsigned level) {
  const u64 entry = context_.hardware.load(at, 8);
  if ((entry & pte::P) == 0 || (entry & shadow::foreign) != 0) return;
  const HostPhysical table(entry & entry_address_bits);
  if ((entry & (pieces | half)) != 0) context_.hardware.store(at, 8, entry & ~(pieces | half));
  if (level > 2) {
    for (unsigned i = 0; i < shadow::entries; ++i) empty_table(table + 8 * i, level - 1);
    return;
  }
  for (u64 offset = 0; offset < page_size; offset += line_bytes) {
    const u64 marks = context_.hardware.load(table + offset, 8) & noted_any;
    if (marks == 0) continue;
    context_.hardware.clear(table + offset, line_bytes);
    context_.hardware.store(table + offset, 8, marks);
  }
  context_.execution.flush_translations();
}

}  // namespace bunshin::vmm
