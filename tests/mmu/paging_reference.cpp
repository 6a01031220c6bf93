#include "paging_reference.h"

#include <array>
#include <cstring>
#include <span>

namespace bunshin {

u64 PagingReference::read(u64 address, unsigned bytes) const {
  std::array<u8, 8> raw{};
  if (!memory_.read(HostPhysical(address), std::span(raw).first(bytes))) return bytes == 4 ? 0xffff'ffff : ~u64{0};
  u64 value = 0;
  std::memcpy(&value, raw.data(), raw.size());
  return value;
}

bool PagingReference::any(u64 value, unsigned high, unsigned low) const {
  for (unsigned n = low; n <= high; ++n) {
    if (bit(value, n)) return true;
  }
  return false;
}

bool PagingReference::missing() {
  answer_.fault = true;
  answer_.error_code = code_;
  return false;
}

bool PagingReference::reserved() {
  answer_.fault = true;
  answer_.error_code = code_ | 1 | 8;
  return false;
}

bool PagingReference::walk_32bit(u64 linear) {
  const u64 pde_address = (c_.root & 0xfffff000) + (linear >> 22 & 0x3ff) * 4;
  const u64 pde = read(pde_address, 4);
  if (!bit(pde, 0)) return missing();
  used_.push_back({pde_address, pde});
  if (c_.pse && bit(pde, 7)) {
    if (bit(pde, 21)) return reserved();
    u64 high = pde >> 13 & 0xff;
    const unsigned address_bits = !c_.pse36 ? 32 : c_.physical_bits > 40 ? 40 : c_.physical_bits;
    if (high >> (address_bits - 32) != 0) return reserved();
    answer_.physical = (high << 32) + (pde & 0xffc00000) + (linear & 0x3fffff);
    answer_.page_bytes = 4u << 20;
    return true;
  }
  const u64 pte_address = (pde & 0xfffff000) + (linear >> 12 & 0x3ff) * 4;
  const u64 pte = read(pte_address, 4);
  if (!bit(pte, 0)) return missing();
  used_.push_back({pte_address, pte});
  answer_.physical = (pte & 0xfffff000) + (linear & 0xfff);
  answer_.page_bytes = 4096;
  return true;
}

bool PagingReference::bad_pae_entry(u64 value) const {
  if (bit(value, 63) && !c_.no_execute) return true;
  return any(value, 62, c_.physical_bits);
}

bool PagingReference::walk_pae(u64 linear) {
  constexpr u64 address = 0x000ffffffffff000;
  const u64 pdpte = c_.pdptes[linear >> 30 & 3];
  if (!bit(pdpte, 0)) return missing();
  const u64 pde_address = (pdpte & address) + (linear >> 21 & 0x1ff) * 8;
  const u64 pde = read(pde_address, 8);
  if (!bit(pde, 0)) return missing();
  used_.push_back({pde_address, pde});
  if (bad_pae_entry(pde)) return reserved();
  if (bit(pde, 7)) {
    if (any(pde, 20, 13)) return reserved();
    answer_.physical = (pde & 0x000fffffffe00000) + (linear & 0x1fffff);
    answer_.page_bytes = 2u << 20;
    return true;
  }
  const u64 pte_address = (pde & address) + (linear >> 12 & 0x1ff) * 8;
  const u64 pte = read(pte_address, 8);
  if (!bit(pte, 0)) return missing();
  used_.push_back({pte_address, pte});
  if (bad_pae_entry(pte)) return reserved();
  answer_.physical = (pte & address) + (linear & 0xfff);
  answer_.page_bytes = 4096;
  return true;
}

bool PagingReference::bad_long_entry(u64 value) const {
  if (bit(value, 63) && !c_.no_execute) return true;
  return c_.physical_bits < 52 && any(value, 51, c_.physical_bits);
}

bool PagingReference::walk_long(u64 linear) {
  constexpr u64 address = 0x000ffffffffff000;
  u64 table = c_.root & address;
  std::vector<unsigned> shifts = {39, 30, 21, 12};
  if (c_.mode == PagingMode::FiveLevel) shifts.insert(shifts.begin(), 48);
  for (const unsigned shift : shifts) {
    const u64 where = table + (linear >> shift & 0x1ff) * 8;
    const u64 value = read(where, 8);
    if (!bit(value, 0)) return missing();
    used_.push_back({where, value});
    if (bad_long_entry(value)) return reserved();
    if (shift == 48 || shift == 39) {
      if (bit(value, 7)) return reserved();
    } else if (shift == 30 && bit(value, 7)) {
      if (!c_.gigabyte_pages) return reserved();
      if (any(value, 29, 13)) return reserved();
      answer_.physical = (value & 0x000fffffc0000000) + (linear & 0x3fffffff);
      answer_.page_bytes = 1u << 30;
      return true;
    } else if (shift == 21 && bit(value, 7)) {
      if (any(value, 20, 13)) return reserved();
      answer_.physical = (value & 0x000fffffffe00000) + (linear & 0x1fffff);
      answer_.page_bytes = 2u << 20;
      return true;
    }
    table = value & address;
  }
  answer_.physical = table + (linear & 0xfff);
  answer_.page_bytes = 4096;
  return true;
}

bool PagingReference::in_every_entry(unsigned n) const {
  for (const Entry& e : used_) {
    if (!bit(e.value, n)) return false;
  }
  return true;
}

bool PagingReference::in_some_entry(unsigned n) const {
  for (const Entry& e : used_) {
    if (bit(e.value, n)) return true;
  }
  return false;
}

/// SDM vol. 3, 4.6.1 and 4.6.2, sentence by sentence.
bool PagingReference::access_allowed(const Access& access, bool& key_violation) const {
  const bool user_address = in_every_entry(2);
  const bool read_write = in_every_entry(1);
  const bool disabled = has_execute_disable() && in_some_entry(63);
  const bool user_access = access.user && !access.implicit;
  const bool smap_relief = c_.access_override && !access.implicit;

  key_violation = false;
  const bool long_mode = c_.mode == PagingMode::FourLevel || c_.mode == PagingMode::FiveLevel;
  if (c_.protection_keys && long_mode && user_address && access.kind != AccessKind::Execute) {
    const unsigned key = static_cast<unsigned>(used_.back().value >> 59) & 15;
    if (bit(c_.pkru, 2 * key)) key_violation = true;
    const bool write = access.kind == AccessKind::Write;
    if (bit(c_.pkru, 2 * key + 1) && write && (user_access || c_.write_protect)) key_violation = true;
  }
  if (key_violation) return false;
  if (user_access && !user_address) return false;
  switch (access.kind) {
    case AccessKind::Read:
      if (user_access || !user_address) return true;
      return !c_.smap || smap_relief;
    case AccessKind::Write:
      if (user_access) return read_write;
      if (user_address && c_.smap && !smap_relief) return false;
      return !c_.write_protect || read_write;
    case AccessKind::Execute:
      if (user_access || !user_address) return !disabled;
      return !c_.smep && !disabled;
  }
  return false;
}

ReferenceAnswer PagingReference::translate(u64 linear, const Access& access) {
  answer_ = {};
  used_.clear();
  code_ = (access.kind == AccessKind::Write ? 2 : 0) | (access.user && !access.implicit ? 4 : 0);
  if (access.kind == AccessKind::Execute && (c_.smep || has_execute_disable())) code_ |= 0x10;
  const bool found = c_.mode == PagingMode::TwoLevel ? walk_32bit(linear)
                     : c_.mode == PagingMode::Pae    ? walk_pae(linear)
                                                     : walk_long(linear);
  bool key_violation = false;
  const bool good = found && access_allowed(access, key_violation);
  if (found && !good) {
    answer_.fault = true;
    answer_.error_code = code_ | 1 | (key_violation ? 0x20 : 0);
  }
  for (const Entry& e : used_) {
    u64 after = e.value;
    if (good) after |= 0x20;
    if (good && &e == &used_.back() && access.kind == AccessKind::Write) after |= 0x40;
    answer_.entries.push_back({e.address, after});
  }
  if (good) {
    // SDM vol. 3, 4.9.2: PAT, PCD, PWT of the entry that maps the page.
    const u64 leaf = used_.back().value;
    const bool pat = bit(leaf, answer_.page_bytes == 4096 ? 7 : 12);
    answer_.pat_index = pat * 4u + bit(leaf, 4) * 2u + bit(leaf, 3);
  }
  answer_.global = good && c_.global_pages && bit(used_.back().value, 8);
  return answer_;
}

}  // namespace bunshin
