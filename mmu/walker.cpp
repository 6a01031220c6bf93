#include "mmu/walker.h"

#include <algorithm>
#include <cstring>

namespace bunshin {

namespace {

/// Bits high:low, empty if high < low.
constexpr u64 bits(unsigned high, unsigned low) { return high < low ? 0 : (~u64{0} >> (63 - high)) & (~u64{0} << low); }

constexpr u64 address_mask = bits(51, 12);

}  // namespace

void Walker::set_context(const PagingContext& context) {
  const PagingContext& old = context_;
  const bool same_layout = old.mode == context.mode && old.pse == context.pse && old.no_execute == context.no_execute &&
                           old.physical_bits == context.physical_bits && old.gigabyte_pages == context.gigabyte_pages &&
                           old.pse36 == context.pse36;
  context_ = context;
  if (same_layout) return;
  mode_ = &paging_format(context.mode);
  derive_levels();
}

void Walker::derive_levels() {
  levels_ = {};
  unsigned shift = page_shift;
  for (unsigned level = 1; level <= mode_->levels; ++level) {
    const unsigned index_bits = mode_->index_bits[level - 1];
    Level& row = levels_[level];
    row.shift = static_cast<u8>(shift);
    row.index_mask = (1u << index_bits) - 1;
    const bool enabled = mode_->entry_bytes == 4 ? context_.pse : level == 2 || context_.gigabyte_pages;
    row.large = (mode_->large_levels >> level & 1) != 0 && enabled;
    derive_reserved(level);
    shift += index_bits;
  }
}

/// SDM vol. 3, 4.3 (32-bit), 4.4.2 (PAE), 4.5.4 (4- and 5-level).
void Walker::derive_reserved(unsigned level) {
  Level& row = levels_[level];
  const unsigned width = std::clamp<unsigned>(context_.physical_bits, 32, 52);
  if (mode_->entry_bytes == 4) {
    // PSE-36: bits 20:13 hold address bits 39:32, as far as the processor has them.
    const unsigned high = context_.pse36 ? std::min(width, 40u) : 32;
    if (level == 2) row.reserved_leaf = bits(21, high - 19);
    return;
  }
  const u64 software = mode_->high_bits_ignored ? 0 : bits(62, 52);
  const u64 common = bits(51, width) | software | (context_.no_execute ? 0 : pte::XD);
  row.reserved_table = common | (row.large || level == 1 ? 0 : pte::PS);
  // Between the PAT bit and the page's base.
  row.reserved_leaf = common | (level == 1 ? 0 : bits(row.shift - 1, 13));
}

u64 Walker::read_entry(HostPhysical address) const {
  const PhysicalMemory::Page page = memory_.page(address);
  u64 entry = 0;
  if (mode_->entry_bytes == 8) {
    if (page.host == nullptr) return ~u64{0};
    std::memcpy(&entry, page.host + address.page_offset(), 8);
    return entry;
  }
  if (page.host == nullptr) return 0xffff'ffff;
  std::memcpy(&entry, page.host + address.page_offset(), 4);
  return entry;
}

void Walker::write_entry(HostPhysical address, u64 entry) {
  if (memory_.page_has_code(address)) [[unlikely]] {
    std::array<u8, 8> data;
    std::memcpy(data.data(), &entry, data.size());
    memory_.write(address, std::span(data).first(mode_->entry_bytes));
    return;
  }
  const PhysicalMemory::Page page = memory_.page(address);
  if (page.host != nullptr && page.writable) std::memcpy(page.host + address.page_offset(), &entry, mode_->entry_bytes);
}

void Walker::descend(Linear address, WalkObserver* observer, Path& path) const {
  path.stop = Stop::NotPresent;
  path.references = 0;
  unsigned level = mode_->levels;
  u64 table = context_.root & mode_->root_mask;
  path.rights = {true, true, true, 0};
  if (structures_ != nullptr && observer != nullptr) [[unlikely]] {
    path.start = start_of(address);
    level = path.start.level;
    table = path.start.table;
    path.rights = path.start.rights;
  }
  if (mode_->root_in_registers && level == mode_->levels) {
    const Level& row = levels_[level];
    const u64 entry = context_.pdptes[(address.value >> row.shift) & row.index_mask & 3];
    path.level = static_cast<u8>(level--);
    if ((entry & pte::P) == 0) return;
    table = entry & address_mask;
  }
  for (;; --level) {
    const Level& row = levels_[level];
    Step& step = path.steps[path.references];
    step.guest = GuestPhysical(table + ((address.value >> row.shift) & row.index_mask) * mode_->entry_bytes);
    path.level = static_cast<u8>(level);
    const SecondStageResult stage = host(step.guest, SecondStageAccess::TableRead);
    if (stage.faulted) [[unlikely]] {
      path.stop = Stop::SecondStage;
      return;
    }
    step.address = stage.address;
    const u64 entry = step.entry = read_entry(step.address);
    ++path.references;
    if (observer != nullptr) [[unlikely]]
      observer->reference({1, path.level, step.address, entry, false});

    if ((entry & pte::P) == 0) return;
    const bool leaf = level == 1 || (row.large && (entry & pte::PS) != 0);
    if ((entry & (leaf ? row.reserved_leaf : row.reserved_table)) != 0) {
      path.stop = Stop::Reserved;
      return;
    }
    path.rights.writable = path.rights.writable && (entry & pte::RW) != 0;
    path.rights.user = path.rights.user && (entry & pte::US) != 0;
    path.rights.executable = path.rights.executable && (entry & pte::XD) == 0;
    if (leaf) {
      path.rights.protection_key = mode_->protection_keys ? (entry >> pte::key_shift) & 0xf : 0;
      path.stop = Stop::Leaf;
      return;
    }
    table = entry & address_mask;
  }
}

Walker::Start Walker::start_of(Linear address) const {
  for (unsigned level = 2; level <= mode_->levels; ++level) {
    if (mode_->root_in_registers && level == mode_->levels) break;
    const StructureCache::Entry* e = structures_->find(level, address.value, levels_[level].shift, context_.pcid);
    if (e != nullptr) return {level - 1, e->table, e->rights};
  }
  return {mode_->levels, context_.root & mode_->root_mask, {true, true, true, 0}};
}

void Walker::cache_structures(Linear address, const Path& path) {
  PageRights rights = path.start.rights;
  for (unsigned i = 0; i + 1 < path.references; ++i) {
    const unsigned level = path.level + path.references - 1 - i;
    const u64 entry = path.steps[i].entry;
    rights.writable = rights.writable && (entry & pte::RW) != 0;
    rights.user = rights.user && (entry & pte::US) != 0;
    rights.executable = rights.executable && (entry & pte::XD) == 0;
    structures_->insert(level, address.value, levels_[level].shift, context_.pcid, entry & address_mask, rights);
  }
}

GuestPhysical Walker::leaf_base(const Path& path) const {
  const u64 entry = path.leaf();
  const Level& row = levels_[path.level];
  const u64 base = entry & address_mask & ~bits(row.shift - 1, 0);
  const bool pse36 = mode_->entry_bytes == 4 && path.level == 2;
  return GuestPhysical(pse36 ? base | (entry & bits(20, 13)) << 19 : base);
}

u32 Walker::access_code(const Access& access) const {
  u32 code = 0;
  if (access.kind == AccessKind::Write) code |= page_fault::W;
  if (access.user_mode()) code |= page_fault::U;
  const bool execute_disable = context_.no_execute && mode_->entry_bytes == 8;
  if (access.kind == AccessKind::Execute && (context_.smep || execute_disable)) code |= page_fault::ID;
  return code;
}

u32 Walker::permission_code(const Path& path, const Access& access) const {
  const bool write = access.kind == AccessKind::Write;
  const bool key = access.kind != AccessKind::Execute && key_forbids(path.rights, write, access.user_mode(), context_);
  return access_code(access) | page_fault::P | (key ? page_fault::PK : 0);
}

bool Walker::set_accessed_dirty(Path& path, bool write) {
  for (unsigned i = 0; i < path.references; ++i) {
    Step& step = path.steps[i];
    const u64 wanted = pte::A | (write && i + 1 == path.references ? pte::D : 0);
    if ((step.entry & wanted) == wanted) continue;
    const SecondStageResult stage = host(step.guest, SecondStageAccess::TableWrite);
    if (stage.faulted) [[unlikely]]
      return false;
    step.entry |= wanted;
    write_entry(stage.address, step.entry);
    if (observer_ != nullptr) [[unlikely]]
      observer_->reference({1, static_cast<u8>(path.level + path.references - 1 - i), stage.address, step.entry, true});
  }
  return true;
}

WalkResult Walker::walk(Linear address, const Access& access) {
  Path& path = path_;
  descend(address, observer_, path);
  ++walks_;
  references_ += path.references;
  if (path.stop == Stop::NotPresent) return {WalkOutcome::PageFault, access_code(access), {}};
  if (path.stop == Stop::Reserved) {
    return {WalkOutcome::PageFault, access_code(access) | page_fault::P | page_fault::RSVD, {}};
  }
  if (path.stop == Stop::SecondStage) return {WalkOutcome::SecondStageFault, 0, {}};
  if ((permitted_kinds(path.rights, access, context_) & kind_bit(access.kind)) == 0) {
    return {WalkOutcome::PageFault, permission_code(path, access), {}};
  }
  const bool write = access.kind == AccessKind::Write;
  if (!set_accessed_dirty(path, write)) return {WalkOutcome::SecondStageFault, 0, {}};
  if (structures_ != nullptr) [[unlikely]]
    cache_structures(address, path);

  const auto data = static_cast<SecondStageAccess>(static_cast<unsigned>(SecondStageAccess::Read) +
                                                   static_cast<unsigned>(access.kind));
  const Level& row = levels_[path.level];
  const u64 leaf = path.leaf();
  const SecondStageResult stage = host(leaf_base(path), data);
  if (stage.faulted) [[unlikely]]
    return {WalkOutcome::SecondStageFault, 0, {}};
  const u64 pat_bit = path.level == 1 ? pte::PS : pte::large_PAT;
  WalkResult result{WalkOutcome::Translated, 0, {}};
  Translation& t = result.translation;
  t.page = stage.address;
  t.shift = row.shift;
  t.pat_index = static_cast<u8>(((leaf & pat_bit) != 0 ? 4u : 0u) | ((leaf & pte::PCD) != 0 ? 2u : 0u) |
                                ((leaf & pte::PWT) != 0 ? 1u : 0u));
  t.global = context_.global_pages && (leaf & pte::G) != 0;
  t.dirty = (leaf & pte::D) != 0;
  t.rights = path.rights;
  return result;
}

std::optional<HostPhysical> Walker::peek(Linear address) const {
  Path path;
  descend(address, nullptr, path);
  if (path.stop != Stop::Leaf) return std::nullopt;
  const u64 offset = address.value & bits(levels_[path.level].shift - 1, 0);
  const SecondStageResult stage = host(leaf_base(path) + offset, SecondStageAccess::Read);
  if (stage.faulted) return std::nullopt;
  return stage.address;
}

bool Walker::load_pdptes(u64 cr3, unsigned physical_bits, std::array<u64, 4>& pdptes) const {
  constexpr PagingFormat pae = paging_format(PagingMode::Pae);
  const u64 reserved = bits(2, 1) | bits(8, 5) | bits(63, std::clamp(physical_bits, 32u, 52u));
  std::array<u64, 4> loaded;
  loaded.fill(~u64{0});
  const SecondStageResult stage = host(GuestPhysical(cr3 & pae.root_mask), SecondStageAccess::TableRead);
  if (stage.faulted) return false;
  const PhysicalMemory::Page page = memory_.page(stage.address);
  if (page.host != nullptr) std::memcpy(loaded.data(), page.host + stage.address.page_offset(), sizeof(loaded));
  for (const u64 entry : loaded) {
    if ((entry & pte::P) != 0 && (entry & reserved) != 0) return false;
  }
  pdptes = loaded;
  return true;
}

}  // namespace bunshin
