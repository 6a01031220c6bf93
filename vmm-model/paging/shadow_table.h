#pragma once

// The format of the tables that the hardware walks for a guest whose own tables it must not see: 4-level in long mode, PAE
// otherwise (a guest of 32-bit paging, or of none, is shadowed in PAE), 4 KiB pages throughout.

#include "vmm-model/guest_walk.h"

namespace bunshin::vmm {

namespace shadow {

inline constexpr unsigned entries = 512;
/// Outside long mode CR3 has 32 bits: the root of such a shadow lies below.
inline constexpr u64 root_limit = u64{1} << 32;
/// Of the root, where there are three levels.
inline constexpr unsigned page_directory_pointers = 4;
/// Marks an entry of a page directory that the back end has put there for itself (user_state.h); it leads to no table of ours.
inline constexpr u64 foreign = 1 << 10;
/// An entry whose use must exit although the guest's entry may be present: reserved (SDM vol. 3, 4.3) where physical addresses
/// have fewer bits.
inline constexpr u64 unfilled = pte::P | u64{1} << 51;
inline constexpr unsigned widest_with_unfilled = 51;

constexpr unsigned shift_of(unsigned level) { return page_shift + 9 * (level - 1); }
constexpr unsigned index_of(u64 address, unsigned level) {
  return static_cast<unsigned>(address >> shift_of(level) & 511);
}
inline unsigned levels(const PagingControls& controls) { return (controls.efer & 1 << 10) != 0 ? 4 : 3; }

/// The page-directory-pointer entries of PAE have no rights, and bits that are reserved (SDM vol. 3, table 4-8).
constexpr u64 table_entry(u64 table, unsigned level, unsigned levels) {
  return table | (level == 3 && levels == 3 ? pte::P : pte::P | pte::RW | pte::US | pte::A);
}

/// A supervisor writes to a read-only page because CR0.WP is clear.
inline bool write_protect_ignored(const GuestTranslation& t, const PagingControls& controls, WalkAccess access) {
  return access.write && !access.user && !t.writable && !controls.write_protect();
}

/// A page that CR0.WP lets a supervisor write cannot be the supervisor's alone, as leaf_entry() makes it, where SMAP tells it
/// from a user's.
inline bool hidden_from_smap(const GuestTranslation& t, const PagingControls& controls, WalkAccess access) {
  return t.user && (controls.cr4 & cr4::SMAP) != 0 && write_protect_ignored(t, controls, access);
}

/// A leaf for what a guest's walk has found. Writes to a page that is not dirty yet must fault: D is the guest's to see. The
/// hardware has CR0.WP set, so that a page which the guest's CR0.WP lets its supervisor write becomes the supervisor's alone
/// until the next user access faults; SMEP must not take it for one.
inline u64 leaf_entry(HostPhysical page, const GuestTranslation& t, const PagingControls& controls, WalkAccess access) {
  u64 entry = page.value | pte::P | pte::A | pte::D;
  const bool supervisors = write_protect_ignored(t, controls, access);
  if (supervisors || (t.writable && t.dirty)) entry |= pte::RW;
  if (t.user && !supervisors) entry |= pte::US;
  if (!t.executable || (supervisors && t.user && (controls.cr4 & cr4::SMEP) != 0)) entry |= pte::XD;
  return entry;
}

}  // namespace shadow

}  // namespace bunshin::vmm
