#include "vmm-model/machine/identity_map.h"

#include <algorithm>

#include "mmu/paging_mode.h"

namespace bunshin::vmm {

namespace {

constexpr u64 four_gib = u64{1} << 32, gib = u64{1} << 30, large_page = u64{2} << 20;
constexpr u64 table_rights = pte::P | pte::RW, leaf_rights = table_rights | pte::PS;

/// A directory for the gibibyte at `address`, with all its pages. False: the pool is empty.
bool map_gib(Hardware& hardware, PagePool& pool, HostPhysical pointers, u64 address) {
  const HostPhysical entry = pointers + address / gib * 8;
  if ((hardware.load(entry, 8) & pte::P) != 0) return true;
  const HostPhysical directory = pool.allocate();
  if (directory.value == 0) return false;
  for (u64 at = 0; at < gib; at += large_page) {
    hardware.store(directory + at / large_page * 8, 8, (address + at) | leaf_rights);
  }
  hardware.store(entry, 8, directory.value | table_rights);
  return true;
}

}  // namespace

void add_high_memory(Hardware& hardware, PagePool& pool, HostPhysical root, u64 begin, u64 end) {
  begin = std::max(begin, four_gib);
  end = std::min(end, identity_map_end);
  const HostPhysical pointers(hardware.load(HostPhysical(root.value & ~(page_size - 1)), 8) & ~(page_size - 1));
  u64 mapped = begin & ~(gib - 1);
  while (mapped < end && map_gib(hardware, pool, pointers, mapped)) mapped += gib;
  pool.add(begin, std::min(end, mapped));
}

}  // namespace bunshin::vmm
