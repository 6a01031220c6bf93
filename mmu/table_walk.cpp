#include "mmu/table_walk.h"

#include <algorithm>
#include <cstring>

#include "mmu/entry_cache.h"

namespace bunshin {

namespace {

/// Bits high:low, empty if high < low.
constexpr u64 bits(unsigned high, unsigned low) { return high < low ? 0 : (~u64{0} >> (63 - high)) & (~u64{0} << low); }

}  // namespace

void TableWalk::derive_levels() {
  format_ = &paging_format(controls_.mode);
  present_ = format_->present | (controls_.mode_based_execute ? ept::XU : 0);
  levels_ = {};
  unsigned shift = page_shift;
  for (unsigned level = 1; level <= format_->levels; ++level) {
    const unsigned index_bits = format_->index_bits[level - 1];
    Level& row = levels_[level];
    row.shift = static_cast<u8>(shift);
    row.index_mask = (1u << index_bits) - 1;
    const bool enabled = format_->entry_bytes == 4 ? controls_.pse
                         : level == 2              ? controls_.large_pages
                                                   : controls_.gigabyte_pages;
    row.large = (format_->large_levels >> level & 1) != 0 && enabled;
    if (controls_.accessed_dirty) {
      row.accessed = format_->accessed;
      row.dirty = format_->dirty;
    }
    derive_reserved(level);
    if (format_->is_ept) derive_ept(level);
    shift += index_bits;
  }
}

/// SDM vol. 3, 4.3 (32-bit), 4.4 (PAE), 4.5.4 (4- and 5-level).
void TableWalk::derive_reserved(unsigned level) {
  Level& row = levels_[level];
  const unsigned width = std::clamp<unsigned>(controls_.physical_bits, 32, 52);
  if (format_->entry_bytes == 4) {
    // PSE-36: bits 20:13 hold address bits 39:32, as far as the processor has them.
    const unsigned high = controls_.pse36 ? std::min(width, 40u) : 32;
    if (level == 2) row.reserved_leaf = bits(21, high - 19);
    return;
  }
  if (controls_.mode == PagingMode::Pae && level == 3) {
    // Page-directory-pointer entries have neither rights nor A (SDM vol. 3, table 4-8).
    row.reserved_table = bits(2, 1) | bits(8, 5) | bits(63, width);
    row.granted = ~u64{0};
    row.accessed = 0;
    return;
  }
  const u64 software = format_->high_bits_ignored ? 0 : bits(62, 52);
  const u64 common = bits(51, width) | software | (controls_.no_execute || format_->is_ept ? 0 : pte::XD);
  row.reserved_table = common | (row.large || level == 1 ? 0 : pte::PS);
  // Between the PAT bit and the page's base.
  row.reserved_leaf = common | (level == 1 ? 0 : bits(row.shift - 1, 13));
}

/// EPT misconfigurations (SDM vol. 3, 29.3.3.1).
void TableWalk::derive_ept(unsigned level) {
  Level& row = levels_[level];
  row.reserved_table |= bits(6, 3);
  if (level > 1) row.reserved_leaf |= bits(row.shift - 1, 12);
  for (unsigned low = 0; low < 64; ++low) {
    const bool writable_only = (low & (ept::R | ept::W)) == ept::W;
    const bool executable_only = (low & (ept::R | ept::W | ept::X)) == ept::X;
    const unsigned type = low >> ept::type_shift;
    const bool bad_rights = writable_only || (executable_only && !controls_.execute_only);
    const bool bad_type = type == 2 || type == 3 || type == 7;
    if (bad_rights) row.forbidden_table |= u64{1} << low;
    if (bad_rights || bad_type) row.forbidden_leaf |= u64{1} << low;
  }
}

u64 TableWalk::read_entry(HostPhysical address) const {
  const PhysicalMemory::Page page = memory_.page(address);
  u64 entry = 0;
  if (format_->entry_bytes == 8) {
    if (page.host == nullptr) return ~u64{0};
    std::memcpy(&entry, page.host + address.page_offset(), 8);
    return entry;
  }
  if (page.host == nullptr) return 0xffff'ffff;
  std::memcpy(&entry, page.host + address.page_offset(), 4);
  return entry;
}

void TableWalk::write_entry(HostPhysical address, u64 entry) {
  if (memory_.page_has_code(address)) [[unlikely]] {
    std::array<u8, 8> data;
    std::memcpy(data.data(), &entry, data.size());
    memory_.write(address, std::span(data).first(format_->entry_bytes));
    return;
  }
  const PhysicalMemory::Page page = memory_.page(address);
  if (page.host != nullptr && page.writable) {
    std::memcpy(page.host + address.page_offset(), &entry, format_->entry_bytes);
  }
}

bool TableWalk::locate(const Environment& environment, Step& step) const {
  if (environment.below == nullptr) [[likely]] {
    step.address = HostPhysical(step.guest.value);
    return true;
  }
  if (environment.peek) {
    const auto address = environment.below->peek(step.guest);
    if (address) step.address = *address;
    return address.has_value();
  }
  const SecondStageResult stage = environment.below->translate(step.guest, SecondStageAccess::TableRead);
  step.address = stage.address;
  step.writable = (stage.kinds & kind_bit(AccessKind::Write)) != 0;
  return !stage.faulted;
}

void TableWalk::observe(const Environment& environment, const Path& path, const Step& step) const {
  const bool cached = environment.entries != nullptr && environment.entries->access(step.address, path.level);
  if (environment.observer == nullptr) return;
  environment.observer->reference(
      {dimension_, path.level, step.address, step.entry, false, cached, false, format_->entry_bytes});
}

bool TableWalk::start_cached(u64 address, u64 space, StructureCache* caches, Start& start) const {
  if (caches == nullptr || !caches->by_translation()) [[likely]]
    return false;
  for (unsigned level = 2; level <= levels(); ++level) {
    const StructureCache::Entry* e = caches->find(level, address, levels_[level].shift, space);
    if (e == nullptr) continue;
    start = {level - 1, e->table, e->permits};
    return true;
  }
  caches->count_miss();
  return false;
}

void TableWalk::cache_path(u64 address, u64 space, StructureCache* caches, const Path& path) const {
  if (caches == nullptr || !caches->by_translation()) [[likely]]
    return;
  u64 permits = path.start.permits;
  for (unsigned i = 0; i + 1 < path.references; ++i) {
    const unsigned level = path.level_of(i);
    const Level& row = levels_[level];
    const u64 entry = path.steps[i].entry;
    permits &= (entry ^ format_->inverted) | row.granted;
    caches->insert(level, address, row.shift, space, entry & address_mask, permits);
  }
}

void TableWalk::descend(u64 address, const Environment& environment, Path& path) const {
  path.stop = Stop::NotPresent;
  path.references = 0;
  path.permits = path.start.permits;
  u64 table = path.start.table;
  const bool observed = environment.observer != nullptr || environment.entries != nullptr;
  for (unsigned level = path.start.level;; --level) {
    const Level& row = levels_[level];
    Step& step = path.steps[path.references];
    step.guest = GuestPhysical(table + ((address >> row.shift) & row.index_mask) * format_->entry_bytes);
    path.level = static_cast<u8>(level);
    if (!locate(environment, step)) [[unlikely]] {
      path.stop = Stop::SecondStage;
      return;
    }
    const u64 entry = step.entry = read_entry(step.address);
    ++path.references;
    if (observed) [[unlikely]]
      observe(environment, path, step);

    if ((entry & present_) == 0) {
      path.permits = 0;
      return;
    }
    path.permits &= (entry ^ format_->inverted) | row.granted;
    const bool leaf = level == 1 || (row.large && (entry & pte::PS) != 0);
    const u64 forbidden = leaf ? row.forbidden_leaf : row.forbidden_table;
    if ((entry & (leaf ? row.reserved_leaf : row.reserved_table)) != 0 || (forbidden >> (entry & 63) & 1) != 0) {
      path.stop = Stop::Reserved;
      return;
    }
    if (leaf) {
      path.stop = Stop::Leaf;
      return;
    }
    table = entry & address_mask;
  }
}

bool TableWalk::set_accessed_dirty(Path& path, bool write, const Environment& environment) {
  for (unsigned i = 0; i < path.references; ++i) {
    Step& step = path.steps[i];
    const Level& row = levels_[path.level_of(i)];
    const u64 wanted = row.accessed | (write && i + 1 == path.references ? row.dirty : 0);
    if ((step.entry & wanted) == wanted) continue;
    // The walk has asked for this page already; only a right that it did not need then is asked for again.
    if (!step.writable) [[unlikely]] {
      const SecondStageResult stage = environment.below->translate(step.guest, SecondStageAccess::TableWrite);
      if (stage.faulted) return false;
      step.writable = true;
    }
    step.entry |= wanted;
    write_entry(step.address, step.entry);
    if (environment.observer != nullptr) [[unlikely]] {
      environment.observer->reference({dimension_, static_cast<u8>(path.level_of(i)), step.address, step.entry, true,
                                       false, false, format_->entry_bytes});
    }
  }
  return true;
}

GuestPhysical TableWalk::mapped(const Path& path, u64 address) const {
  const u64 entry = path.leaf();
  const u64 offset = (u64{1} << levels_[path.level].shift) - 1;
  const u64 base = entry & address_mask & ~offset;
  const bool pse36 = format_->entry_bytes == 4 && path.level == 2;
  return GuestPhysical((pse36 ? base | (entry & bits(20, 13)) << 19 : base) | (address & offset));
}

}  // namespace bunshin
