#pragma once

// Page tables for tests: one path of tables at known places, entry by entry under the test's control.

#include <cstring>

#include "mmu/access.h"
#include "mmu/memory/physical_memory.h"

namespace bunshin {

/// One table a level, level L at L * 64 KiB; the path's index in it is 3 + L (2 in PAE's registers).
class TablePath {
 public:
  static constexpr u64 permissive = pte::P | pte::RW | pte::US;

  TablePath(PhysicalMemory& memory, PagingMode paging) : memory_(memory), mode_(paging_format(paging)) {
    for (unsigned level = mode_.levels; level > 1; --level) set(level, table(level - 1) | permissive);
  }

  unsigned levels() const { return mode_.levels; }
  bool in_memory(unsigned level) const { return !(mode_.root_in_registers && level == mode_.levels); }
  u64 root() const { return table(mode_.levels); }
  static u64 table(unsigned level) { return level * u64{0x10000}; }
  unsigned index(unsigned level) const { return in_memory(level) ? 3 + level : 2; }
  unsigned shift(unsigned level) const {
    unsigned shift = page_shift;
    for (unsigned l = 1; l < level; ++l) shift += mode_.index_bits[l - 1];
    return shift;
  }
  u64 linear(u64 offset = 0) const {
    u64 address = offset;
    for (unsigned level = 1; level <= mode_.levels; ++level) address |= u64{index(level)} << shift(level);
    return address;
  }
  u64 entry_address(unsigned level) const { return table(level) + u64{index(level)} * mode_.entry_bytes; }

  void set(unsigned level, u64 entry) { set_at(entry_address(level), entry); }
  u64 get(unsigned level) const { return get_at(entry_address(level)); }
  /// Entry of another index in the table of `level`.
  void set_index(unsigned level, unsigned i, u64 entry) { set_at(table(level) + u64{i} * mode_.entry_bytes, entry); }
  /// All ones where there is no RAM.
  u64 get_at(u64 address) const {
    u64 entry = 0;
    const u8* host = memory_.page(HostPhysical(address)).host;
    if (host == nullptr) return mode_.entry_bytes == 4 ? 0xffff'ffff : ~u64{0};
    std::memcpy(&entry, host + (address & 0xfff), mode_.entry_bytes);
    return entry;
  }

  PagingContext context() const {
    PagingContext c;
    for (unsigned i = 0; i < paging_formats.size(); ++i) {
      if (paging_formats[i].name == mode_.name) c.mode = static_cast<PagingMode>(i);
    }
    c.root = root();
    c.pse = true;
    if (mode_.root_in_registers) c.pdptes[2] = table(mode_.levels - 1) | pte::P;
    return c;
  }

 private:
  void set_at(u64 address, u64 entry) {
    std::memcpy(memory_.page(HostPhysical(address)).host + (address & 0xfff), &entry, mode_.entry_bytes);
  }

  PhysicalMemory& memory_;
  const PagingFormat& mode_;
};

}  // namespace bunshin
