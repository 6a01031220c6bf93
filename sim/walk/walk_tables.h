#pragma once

// Real tables in a small physical memory for one translation and its neighbours. Each table has a page of its own, at
// an address that says what it is; A and D are set, so that a walk only reads.
//
//   guest-physical   0x0L000000   the guest's table of level L
//                    0x08000000   the pages that it maps (of 1 GiB: 0x40000000)
//   host-physical    a guest-physical address + 0x40000000, if there is a second stage
//                    0xcL000000   the second stage's tables of level L, one page after the other
//
// The index in a table of level L is 0xLL, modulo the table's size.

#include <array>
#include <map>

#include "base/address.h"
#include "mmu/access.h"
#include "mmu/memory/physical_memory.h"
#include "sim/walk/walk_setup.h"

namespace bunshin {

class WalkTables {
 public:
  /// Maps the page to be walked for and `setup.warm` neighbours, all in the same tables.
  explicit WalkTables(const WalkSetup& setup);

  PhysicalMemory& memory() { return memory_; }
  /// What is translated: linear, or guest-physical in a guest without paging. Neighbour 0 is the page itself.
  u64 address(unsigned neighbour = 0) const;
  /// Where the guest's page maps it.
  GuestPhysical guest_physical(unsigned neighbour = 0) const;
  HostPhysical host_physical(GuestPhysical address) const { return HostPhysical(address.value + displacement_); }
  /// The guest's entry of `level` for neighbour 0.
  GuestPhysical guest_entry(unsigned level) const;
  /// CR3 of the guest, and the root of the second stage.
  u64 guest_root() const { return guest_table(setup_.guest.levels()); }
  u64 host_root() const { return host_root_; }

  static constexpr unsigned most_neighbours = 64;

 private:
  struct Entries {
    u64 table = 0, leaf = 0, large = 0;
  };
  static u64 guest_table(unsigned level) { return u64{level} << 24; }
  static Entries guest_entries();
  Entries host_entries() const;
  void map_guest(unsigned neighbour);
  void map_host(GuestPhysical address);
  u64 host_table(unsigned level, u64 prefix);
  void write(HostPhysical at, u64 entry, unsigned bytes);

  const WalkSetup setup_;
  PhysicalMemory memory_;
  u64 displacement_;
  u64 host_root_ = 0;
  std::map<std::pair<unsigned, u64>, u64> host_tables_;  ///< by level and what the table maps
  std::array<unsigned, 6> host_table_count_{};           ///< by level
};

/// Bits of an address from which on the index in tables of `level` lies, and how many there are.
struct TableIndex {
  unsigned shift = 0, bits = 0;
  u64 of(u64 address) const { return address >> shift & ((u64{1} << bits) - 1); }
};
TableIndex table_index(PagingMode mode, unsigned level);

}  // namespace bunshin
