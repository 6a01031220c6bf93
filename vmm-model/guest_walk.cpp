#include "vmm-model/guest_walk.h"

#include "vmm-model/registers.h"

namespace bunshin::vmm {

namespace {

/// Bits that must be zero in an entry of `level` (SDM vol. 3, 4.3 to 4.5).
u64 reserved_bits(const PagingControls& c, const PagingFormat& format, unsigned level, bool leaf, unsigned shift) {
  if (format.entry_bytes == 4) return 0;  // PSE-36: bit 21 is the only one, and what it addresses is no RAM
  u64 reserved = entry_address_bits & ~((u64{1} << c.physical_bits) - 1);
  if (!c.no_execute()) reserved |= pte::XD;
  if (!format.high_bits_ignored) reserved |= 0x7ff0'0000'0000'0000;
  if (format.root_in_registers && level == format.levels) return reserved | 0x1e6 | pte::XD;
  if (leaf && level > 1) reserved |= ((u64{1} << shift) - 1) & ~u64{0x1fff};
  if (level > 1 && !leaf && (format.large_levels >> level & 1) == 0 && level >= 4) reserved |= pte::PS;
  return reserved;
}

/// Physical address of a 4 MiB page: bits 20:13 of the entry are address bits 39:32 (SDM vol. 3, table 4-4).
u64 leaf_address(const PagingFormat& format, u64 entry, unsigned level, unsigned shift) {
  const u64 low = entry & entry_address_bits & ~((u64{1} << shift) - 1);
  if (format.entry_bytes == 4) return (low & 0xffff'ffff) | (level == 2 ? (entry >> 13 & 0xff) << 32 : 0);
  return low;
}

u32 error_code_of(const PagingControls& c, WalkAccess access, u32 cause) {
  u32 code = cause;
  if (access.write) code |= page_fault::W;
  if (access.user) code |= page_fault::U;
  if (access.execute && (c.no_execute() || (c.cr4 & cr4::SMEP) != 0)) code |= page_fault::ID;
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
  GuestTranslation result;

  /// False: a fault of `cause` bits.
  bool descend(u64 linear, u32& cause);
  void update(bool write);
};

bool Walk::descend(u64 linear, u32& cause) {
  u64 table = controls.cr3 & format.root_mask;
  unsigned shift = page_shift;
  for (unsigned level = 1; level <= format.levels; ++level) shift += format.index_bits[level - 1];
  result.levels = format.levels;
  for (unsigned level = format.levels;; --level) {
    shift -= format.index_bits[level - 1];
    const u64 index = linear >> shift & ((u64{1} << format.index_bits[level - 1]) - 1);
    GuestTranslation::Step& step = result.steps[level];
    step.address = GuestPhysical(table + index * format.entry_bytes);
    // What is not RAM reads as all ones, as an unclaimed bus address does.
    if (!memory.load(step.address, format.entry_bytes, step.entry)) step.entry = ~u64{0};
    cause = 0;
    if ((step.entry & pte::P) == 0) return false;
    const bool large_here =
        (format.large_levels >> level & 1) != 0 && (format.entry_bytes == 8 || (controls.cr4 & cr4::PSE) != 0);
    const bool leaf = level == 1 || (large_here && (step.entry & pte::PS) != 0);
    cause = page_fault::P | page_fault::RSVD;
    if ((step.entry & reserved_bits(controls, format, level, leaf, shift)) != 0) return false;
    if (!(format.root_in_registers && level == format.levels)) {
      result.writable &= (step.entry & pte::RW) != 0;
      result.user &= (step.entry & pte::US) != 0;
      result.executable &= format.entry_bytes == 4 || (step.entry & pte::XD) == 0;
    }
    if (leaf) {
      result.leaf_level = static_cast<u8>(level);
      result.shift = static_cast<u8>(shift);
      result.dirty = (step.entry & pte::D) != 0;
      result.global = (step.entry & pte::G) != 0 && (controls.cr4 & cr4::PGE) != 0;
      result.address =
          GuestPhysical(leaf_address(format, step.entry, level, shift) | (linear & ((u64{1} << shift) - 1)));
      return true;
    }
    table = format.entry_bytes == 4 ? step.entry & 0xffff'f000 : step.entry & entry_address_bits;
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

GuestTranslation walk_guest(const GuestMemory& memory, const PagingControls& controls, Linear address,
                            WalkAccess access, bool update) {
  const PagingMode mode = controls.mode();
  Walk walk{memory, controls, paging_format(mode), {}};
  if (mode == PagingMode::None) {
    walk.result.address = GuestPhysical(address.value & 0xffff'ffff);
    return walk.result;
  }
  const bool wide = mode == PagingMode::FourLevel || mode == PagingMode::FiveLevel;
  u32 cause = 0;
  bool ok = walk.descend(wide ? address.value : address.value & 0xffff'ffff, cause);
  if (ok && !allowed(controls, walk.result, access)) {
    cause = page_fault::P;
    ok = false;
  }
  if (!ok) {
    walk.result.fault = true;
    walk.result.error_code = error_code_of(controls, access, cause);
    return walk.result;
  }
  if (update) walk.update(access.write);
  return walk.result;
}

}  // namespace bunshin::vmm
