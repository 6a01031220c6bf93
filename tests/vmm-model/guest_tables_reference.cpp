#include "guest_tables_reference.h"

#include <cstring>

namespace bunshin::vmm {

namespace {

constexpr u64 present = 1, writable = 2, user = 4, accessed = 0x20, dirty = 0x40, large = 0x80;
constexpr u64 no_execute = u64{1} << 63, frame = 0x000f'ffff'ffff'f000;
constexpr unsigned physical_bits = 40;

/// SDM vol. 3, 4.3 (with 40 bits of PSE-36), table 4-8, table 4-11 and 4.5.
bool reserved(u64 entry, const GuestControls& c, int level, bool leaf, unsigned shift) {
  if (c.format == TableFormat::TwoLevel) return leaf && level == 2 && (entry >> 21 & 1) != 0;
  if ((entry & frame) >> physical_bits != 0) return true;
  if (c.format == TableFormat::Pae && (entry >> 52 & 0x7ff) != 0) return true;
  if ((entry & no_execute) != 0 && (!c.no_execute || (c.format == TableFormat::Pae && level == 3))) return true;
  if (c.format == TableFormat::Pae && level == 3) return (entry & 0x1e6) != 0;
  if (level == 4 && (entry & large) != 0) return true;
  return leaf && level > 1 && (entry & ((u64{1} << shift) - 1) & ~u64{0x1fff}) != 0;
}

u64 address_of(u64 entry, const GuestControls& c, int level, bool leaf, unsigned shift) {
  const u64 mask = leaf ? ~((u64{1} << shift) - 1) : ~u64{0xfff};
  if (c.format != TableFormat::TwoLevel) return entry & frame & mask;
  const u64 high = leaf && level == 2 ? (entry >> 13 & 0xff) << 32 : 0;
  return (entry & 0xffff'f000 & mask) | high;
}

}  // namespace

u64 GuestTablesReference::load(u64 address, unsigned bytes) const {
  u64 value = bytes == 4 ? 0xffff'ffff : ~u64{0};
  if (address + bytes <= memory.size() && !(address >= 0xa'0000 && address < 0xc'0000)) {
    value = 0;
    std::memcpy(&value, &memory[address], bytes);
  }
  return value;
}

void GuestTablesReference::store(u64 address, unsigned bytes, u64 value) {
  if (address + bytes <= memory.size() && !(address >= 0xa'0000 && address < 0xc'0000)) {
    std::memcpy(&memory[address], &value, bytes);
  }
}

void GuestTablesReference::load_root(u64 cr3) {
  for (unsigned i = 0; i < root_.size(); ++i) root_[i] = load((cr3 & 0xffff'ffe0) + 8 * i, 8);
}

GuestOutcome GuestTablesReference::access(u64 cr3, const GuestControls& c, const GuestReach& a) {
  const bool narrow = c.format == TableFormat::TwoLevel;
  const bool has_execute = !narrow && c.no_execute;
  const u32 code = (a.write ? 2u : 0u) | (a.by_user ? 4u : 0u) | (a.execute && (has_execute || c.smep) ? 16u : 0u);
  const unsigned bytes = narrow ? 4 : 8, bits = narrow ? 10 : 9;
  const int levels = narrow ? 2 : c.format == TableFormat::Pae ? 3 : 4;
  std::array<u64, 5> at{};
  u64 table = c.format == TableFormat::Pae ? cr3 & 0xffff'ffe0 : cr3;
  bool w = true, u = true, x = true;
  for (int level = levels;; --level) {
    const unsigned shift = 12 + bits * static_cast<unsigned>(level - 1);
    const bool root_of_pae = c.format == TableFormat::Pae && level == 3;
    at[static_cast<unsigned>(level)] = table + (a.linear >> shift & (root_of_pae ? 3 : (1u << bits) - 1)) * bytes;
    const u64 entry = root_of_pae ? root_[a.linear >> 30 & 3] : load(at[static_cast<unsigned>(level)], bytes);
    if ((entry & present) == 0) return {{}, code};
    const bool leaf = level == 1 || ((entry & large) != 0 && level <= (c.format == TableFormat::FourLevel ? 3 : 2));
    if (reserved(entry, c, level, leaf, shift)) return {{}, code | 9u};
    w = w && (root_of_pae || (entry & writable) != 0);
    u = u && (root_of_pae || (entry & user) != 0);
    x = x && (root_of_pae || !has_execute || (entry & no_execute) == 0);
    table = address_of(entry, c, level, leaf, shift);
    if (!leaf) continue;
    bool allowed = u || !a.by_user;
    if (a.execute) allowed = allowed && x && !(c.smep && u && !a.by_user);
    if (!a.execute && !a.by_user && c.smap && u && !c.alignment_check) allowed = false;
    if (a.write) allowed = allowed && (w || (!a.by_user && !c.write_protect));
    if (!allowed) return {{}, code | 1u};
    for (int used = levels; used >= level; --used) {
      if (c.format == TableFormat::Pae && used == 3) continue;
      const u64 place = at[static_cast<unsigned>(used)];
      store(place, bytes, load(place, bytes) | accessed | (a.write && used == level ? dirty : 0));
    }
    return {table | (a.linear & ((u64{1} << shift) - 1)), 0};
  }
}

}  // namespace bunshin::vmm
