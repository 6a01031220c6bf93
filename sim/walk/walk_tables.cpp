#include "sim/walk/walk_tables.h"

#include <cstring>

#include "base/check.h"

namespace bunshin {

namespace {

constexpr u64 GiB = u64{1} << 30;
constexpr u64 offset_in_page = 0x678;
constexpr u64 small_pages = 0x0800'0000;
constexpr u64 stage_displacement = GiB;
constexpr u64 host_tables = 3 * GiB;
/// Neighbours of 1 GiB lie behind all tables.
constexpr u64 giant_neighbours = 4 * GiB;

/// Guest-physical addresses beyond 4 GiB can be mapped.
bool wide(const WalkSetup& setup) { return !setup.host.present() || setup.host.levels() >= 4; }

}  // namespace

TableIndex table_index(PagingMode mode, unsigned level) {
  const PagingFormat& format = paging_format(mode);
  TableIndex index{page_shift, format.index_bits[level - 1]};
  for (unsigned l = 1; l < level; ++l) index.shift += format.index_bits[l - 1];
  return index;
}

WalkTables::WalkTables(const WalkSetup& setup)
    : setup_(setup), memory_(4 * GiB, 4 * GiB), displacement_(setup.host.present() ? stage_displacement : 0) {
  if (setup_.host.present()) host_root_ = host_table(setup_.host.levels(), 0);
  for (unsigned neighbour = 0; neighbour <= setup_.warm; ++neighbour) {
    if (setup_.guest.present()) map_guest(neighbour);
    if (setup_.host.present()) map_host(guest_physical(neighbour));
  }
}

u64 WalkTables::address(unsigned neighbour) const {
  if (!setup_.guest.present()) return guest_physical(neighbour).value;
  u64 address = offset_in_page;
  for (unsigned level = setup_.guest.leaf_level(); level <= setup_.guest.levels(); ++level) {
    const TableIndex index = table_index(setup_.guest.mode, level);
    address |= index.of(u64{0x11} * level << index.shift) << index.shift;
  }
  return address + (u64{neighbour} << setup_.guest.shift);
}

GuestPhysical WalkTables::guest_physical(unsigned neighbour) const {
  const unsigned shift = setup_.guest.present() ? setup_.guest.shift : setup_.host.shift;
  if (shift < 30) return GuestPhysical(small_pages + (u64{neighbour} << shift) + offset_in_page);
  const u64 base = neighbour == 0 || !wide(setup_) ? GiB : giant_neighbours + neighbour * GiB;
  return GuestPhysical(base + offset_in_page);
}

GuestPhysical WalkTables::guest_entry(unsigned level) const {
  const u64 index = table_index(setup_.guest.mode, level).of(address());
  return GuestPhysical(guest_table(level) + index * paging_format(setup_.guest.mode).entry_bytes);
}

WalkTables::Entries WalkTables::guest_entries() {
  constexpr u64 table = pte::P | pte::RW | pte::US | pte::A;
  return {table, table | pte::D, table | pte::D | pte::PS};
}

void WalkTables::map_guest(unsigned neighbour) {
  const unsigned bytes = paging_format(setup_.guest.mode).entry_bytes;
  const Entries entries = guest_entries();
  for (unsigned level = setup_.guest.levels(); level >= setup_.guest.leaf_level(); --level) {
    const bool leaf = level == setup_.guest.leaf_level();
    // Page-directory-pointer entries of PAE paging have no rights (SDM vol. 3, table 4-8).
    const u64 table = paging_format(setup_.guest.mode).root_in_registers && level == 3 ? pte::P : entries.table;
    const u64 page = guest_physical(neighbour).value & ~u64{0xfff} & ~((u64{1} << setup_.guest.shift) - 1);
    const u64 entry = leaf ? page | (level > 1 ? entries.large : entries.leaf) : guest_table(level - 1) | table;
    const u64 index = table_index(setup_.guest.mode, level).of(address(neighbour));
    const GuestPhysical at(guest_table(level) + index * bytes);
    if (setup_.host.present()) map_host(at);
    write(host_physical(at), entry, bytes);
  }
}

WalkTables::Entries WalkTables::host_entries() const {
  if (setup_.format == SecondStageFormat::Npt) return guest_entries();
  // SDM vol. 3, tables 29-1 to 29-7: readable, writable, executable, accessed; pages dirty and write-back.
  constexpr u64 table = ept::R | ept::W | ept::X | ept::A;
  constexpr u64 page = table | ept::D | u64{6} << ept::type_shift;
  return {table, page, page | ept::PS};
}

void WalkTables::map_host(GuestPhysical address) {
  const PagingFormat& format = paging_format(setup_.host.mode);
  const Entries entries = host_entries();
  for (unsigned level = setup_.host.levels(); level >= setup_.host.leaf_level(); --level) {
    const TableIndex index = table_index(setup_.host.mode, level);
    const bool leaf = level == setup_.host.leaf_level();
    const u64 page = host_physical(address).value & ~((u64{1} << index.shift) - 1);
    const u64 rights = format.root_in_registers && level == 3 ? pte::P : entries.table;
    const u64 entry = leaf ? page | (level > 1 ? entries.large : entries.leaf)
                           : host_table(level - 1, address.value >> index.shift) | rights;
    const u64 table = host_table(level, address.value >> (index.shift + index.bits));
    write(HostPhysical(table + index.of(address.value) * format.entry_bytes), entry, format.entry_bytes);
  }
}

u64 WalkTables::host_table(unsigned level, u64 prefix) {
  const auto [place, created] = host_tables_.try_emplace({level, prefix}, 0);
  if (created) place->second = host_tables + (u64{level} << 24) + (u64{host_table_count_[level]++} << page_shift);
  return place->second;
}

void WalkTables::write(HostPhysical at, u64 entry, unsigned bytes) {
  const PhysicalMemory::Page page = memory_.page(at);
  SIM_CHECK(page.host != nullptr && page.writable);
  std::memcpy(page.host + at.page_offset(), &entry, bytes);
}

}  // namespace bunshin
