#include "vmm-model/guest_walk.h"

#include "vmm-model/registers.h"

namespace bunshin::vmm {

namespace {

/// log2 of what one entry of each format's root table covers.
constexpr auto root_shifts = [] {
  std::array<u8, paging_formats.size()> shifts{};
  for (unsigned i = 0; i < shifts.size(); ++i) {
    shifts[i] = page_shift;
    for (unsigned level = 1; level < paging_formats[i].levels; ++level)
      shifts[i] += paging_formats[i].index_bits[level - 1];
  }
  return shifts;
}();

constexpr u64 below(unsigned bit) { return (u64{1} << bit) - 1; }

/// Bits that must be zero (SDM vol. 3, 4.3 to 4.5).
struct ReservedBits {
  u64 always = 0;       ///< in entries of any level
  u64 root = 0;         ///< … of the root table
  u64 narrow_leaf = 0;  ///< in 4 MiB pages' entries of 4 bytes

  ReservedBits(const PagingControls& c, const PagingFormat& format) {
    if (format.entry_bytes == 4) {
      // PSE-36: bits 20:13 hold address bits 39:32, as far as the processor has them.
      const unsigned width = c.pse36 ? (c.physical_bits < 40 ? c.physical_bits : 40) : 32;
      narrow_leaf = below(22) & ~below(width - 19);
      return;
    }
    always = entry_address_bits & ~below(c.physical_bits);
    if (!c.no_execute()) always |= pte::XD;
    if (!format.high_bits_ignored) always |= 0x7ff0'0000'0000'0000;
    root = always;
    if (format.root_in_registers) root |= 0x1e6 | pte::XD;
  }
  /// Large pages have nothing between the PAT bit and their address, and levels that have no large pages no PS.
  u64 of(const PagingFormat& format, unsigned level, bool leaf, unsigned shift, bool large_level) const {
    const u64 bits = level == format.levels ? root : always;
    if (format.entry_bytes == 4) return leaf && level == 2 ? narrow_leaf : 0;
    if (leaf) return level == 1 ? bits : bits | (below(shift) & ~u64{0x1fff});
    return large_level || format.root_in_registers ? bits : bits | pte::PS;
  }
};

/// Physical address of a 4 MiB page: bits 20:13 of the entry are address bits 39:32 (SDM vol. 3, table 4-4).
u64 leaf_address(const PagingFormat& format, u64 entry, unsigned level, unsigned shift) {
  const u64 low = entry & entry_address_bits & ~below(shift);
  if (format.entry_bytes == 4) return (low & 0xffff'ffff) | (level == 2 ? (entry >> 13 & 0xff) << 32 : 0);
  return low;
}

/// What the entry of one level takes away. `narrow`: of 4 bytes, which cannot forbid execution.
void restrict_rights(GuestTranslation& t, u64 entry, bool narrow) {
  t.writable &= (entry & pte::RW) != 0;
  t.user &= (entry & pte::US) != 0;
  t.executable &= narrow || (entry & pte::XD) == 0;
}

void describe_leaf(GuestTranslation& t, const PagingControls& c, u64 entry) {
  t.dirty = (entry & pte::D) != 0;
  t.global = (entry & pte::G) != 0 && (c.cr4 & cr4::PGE) != 0;
}

u32 error_code_of(const PagingControls& c, WalkAccess access, u32 cause) {
  u32 code = cause;
  if (access.write) code |= page_fault::W;
  if (access.user) code |= page_fault::U;
  const bool execute_disable = c.no_execute() && (c.cr4 & cr4::PAE) != 0;
  if (access.execute && (execute_disable || (c.cr4 & cr4::SMEP) != 0)) code |= page_fault::ID;
  return code;
}

/// SDM vol. 3, 4.6.1 "Determination of access rights".
bool allowed(const PagingControls& c, const GuestTranslation& t, WalkAccess access) {
  if (access.user) {
    if (!t.user) return false;
    if (access.write && !t.writable) return false;
    return !access.execute || t.executable;
  }
  if (access.execute) return t.executable && !((c.cr4 & cr4::SMEP) != 0 && t.user);
  if ((c.cr4 & cr4::SMAP) != 0 && t.user && !c.alignment_check) return false;
  return !access.write || t.writable || !c.write_protect();
}

struct Walk {
  const GuestMemory& memory;
  const PagingControls& controls;
  const PagingFormat& format;
  GuestTranslation& result;

  /// False: a fault of `cause` bits.
  template <PagingMode mode>
  bool descend(u64 linear, u32& cause);
  bool descend(PagingMode mode, u64 linear, u32& cause);
  bool large_pages(unsigned level) const {
    return level == 3 ? controls.gigabyte_pages : format.entry_bytes == 8 || (controls.cr4 & cr4::PSE) != 0;
  }
  void update(bool write);
};

// The mode is known to the compiler: exits walk more than they do anything else.
template <PagingMode mode>
bool Walk::descend(u64 linear, u32& cause) {
  static constexpr const PagingFormat& row = paging_formats[static_cast<unsigned>(mode)];
  const ReservedBits reserved(controls, row);
  constexpr bool narrow = row.entry_bytes == 4;
  u64 table = controls.cr3 & row.root_mask;
  unsigned shift = root_shifts[static_cast<unsigned>(mode)];
  result.levels = row.levels;
  for (unsigned level = row.levels;; shift -= row.index_bits[--level - 1]) {
    const u64 index = linear >> shift & below(row.index_bits[level - 1]);
    GuestTranslation::Step& step = result.steps[level];
    step.address = GuestPhysical(table + index * row.entry_bytes);
    // What is not RAM reads as all ones, as an unclaimed bus address does.
    if (level == row.levels && controls.page_directory_pointers != nullptr) {
      step.entry = (*controls.page_directory_pointers)[index];
    } else if (!memory.load(step.address, row.entry_bytes, step.entry)) {
      step.entry = narrow ? 0xffff'ffff : ~u64{0};
    }
    const u64 entry = step.entry;
    cause = 0;
    if ((entry & pte::P) == 0) return false;
    const bool large_level = (row.large_levels >> level & 1) != 0 && large_pages(level);
    const bool leaf = level == 1 || (large_level && (entry & pte::PS) != 0);
    cause = page_fault::P | page_fault::RSVD;
    if ((entry & reserved.of(row, level, leaf, shift, large_level)) != 0) return false;
    if (!(row.root_in_registers && level == row.levels)) {
      restrict_rights(result, entry, narrow);
    }
    if (leaf) {
      result.leaf_level = static_cast<u8>(level);
      result.shift = static_cast<u8>(shift);
      describe_leaf(result, controls, entry);
      result.address = GuestPhysical(leaf_address(row, entry, level, shift) | (linear & below(shift)));
      return true;
    }
    table = entry & (narrow ? 0xffff'f000 : entry_address_bits);
  }
}

bool Walk::descend(PagingMode mode, u64 linear, u32& cause) {
  switch (mode) {
    case PagingMode::TwoLevel: return descend<PagingMode::TwoLevel>(linear & 0xffff'ffff, cause);
    case PagingMode::Pae: return descend<PagingMode::Pae>(linear & 0xffff'ffff, cause);
    case PagingMode::FiveLevel: return descend<PagingMode::FiveLevel>(linear, cause);
    default: return descend<PagingMode::FourLevel>(linear, cause);
  }
}

void Walk::update(bool write) {
  for (unsigned level = result.levels; level >= result.leaf_level; --level) {
    if (format.root_in_registers && level == format.levels) continue;
    GuestTranslation::Step& step = result.steps[level];
    const u64 wanted = step.entry | pte::A | (write && level == result.leaf_level ? pte::D : 0);
    if (wanted != step.entry && memory.store(step.address, format.entry_bytes, wanted)) step.entry = wanted;
  }
  result.dirty |= write;
}

}  // namespace

PagingMode PagingControls::mode() const {
  return select_paging((cr0 & cr0::PG) != 0, (cr4 & cr4::PAE) != 0, (efer & efer::LMA) != 0, (cr4 & cr4::LA57) != 0);
}
bool PagingControls::no_execute() const { return (efer & efer::NXE) != 0; }
bool PagingControls::write_protect() const { return (cr0 & cr0::WP) != 0; }

WalkAccess faulting_access(u32 error_code) {
  return {.write = (error_code & page_fault::W) != 0,
          .execute = (error_code & page_fault::ID) != 0,
          .user = (error_code & page_fault::U) != 0};
}

bool load_page_directory_pointers(const GuestMemory& memory, const PagingControls& controls,
                                  std::array<u64, 4>& entries) {
  const PagingFormat& format = paging_format(PagingMode::Pae);
  const ReservedBits reserved(controls, format);
  bool good = true;
  for (unsigned i = 0; i < entries.size(); ++i) {
    const GuestPhysical at((controls.cr3 & format.root_mask) + 8 * i);
    if (!memory.load(at, 8, entries[i])) entries[i] = ~u64{0};
    good &= (entries[i] & pte::P) == 0 || (entries[i] & reserved.root) == 0;
  }
  return good;
}

GuestTranslation walk_guest(const GuestMemory& memory, const PagingControls& controls, Linear address,
                            WalkAccess access, bool update) {
  const PagingMode mode = controls.mode();
  GuestTranslation result;
  if (mode == PagingMode::None) {
    result.address = GuestPhysical(address.value & 0xffff'ffff);
    return result;
  }
  Walk walk{memory, controls, paging_format(mode), result};
  u32 cause = 0;
  bool ok = walk.descend(mode, address.value, cause);
  if (ok && !allowed(controls, result, access)) {
    cause = page_fault::P;
    ok = false;
  }
  if (!ok) {
    result.fault = true;
    result.error_code = error_code_of(controls, access, cause);
    return result;
  }
  if (update) walk.update(access.write);
  return result;
}

GuestTranslation speculative_translation(const PagingControls& controls, const GuestTranslation& found, u64 entry) {
  const PagingFormat& format = paging_format(controls.mode());
  const bool narrow = format.entry_bytes == 4;
  GuestTranslation t;
  t.levels = found.levels;
  t.leaf_level = found.leaf_level;
  t.steps[1].entry = entry;
  t.fault = found.leaf_level != 1 || (entry & (pte::P | pte::A)) != (pte::P | pte::A) ||
            (entry & ReservedBits(controls, format).of(format, 1, true, page_shift, false)) != 0;
  for (unsigned level = found.levels; level >= 1; --level) {
    if (format.root_in_registers && level == format.levels) continue;
    const u64 rights = level == 1 ? entry : found.steps[level].entry;
    restrict_rights(t, rights, narrow);
  }
  describe_leaf(t, controls, entry);
  t.address = GuestPhysical(leaf_address(format, entry, 1, page_shift));
  return t;
}

}  // namespace bunshin::vmm
