#pragma once

// An access to memory, the registers that decide how it is translated, and whether a page's rights permit it.

#include <array>

#include "base/types.h"
#include "mmu/paging_mode.h"

namespace bunshin {

enum class AccessKind : u8 { Read, Write, Execute };

struct Access {
  AccessKind kind = AccessKind::Read;
  bool user = false;  ///< made at CPL 3
  /// Implicit supervisor access (descriptor tables, TSS …): supervisor at any CPL, and EFLAGS.AC does not relieve it of
  /// SMAP (SDM vol. 3, 4.6).
  bool implicit = false;

  constexpr bool user_mode() const { return user && !implicit; }
};

/// Everything translation depends on. The core derives it from its registers.
struct PagingContext {
  PagingMode mode = PagingMode::None;
  u64 root = 0;                                                                                 ///< CR3
  bool write_protect = false;                                                                   ///< CR0.WP
  bool pse = false, global_pages = false, smep = false, smap = false, protection_keys = false;  ///< CR4
  bool no_execute = false;                                                                      ///< EFER.NXE
  u16 pcid = 0;  ///< CR3 bits 11:0 if CR4.PCIDE, else 0
  u32 pkru = 0;
  bool user = false;             ///< CPL is 3
  bool access_override = false;  ///< EFLAGS.AC
  /// Every access must be looked at (alignment checks, data breakpoints), so none may be hit fast.
  bool watched = false;
  std::array<u64, 4> pdptes{};  ///< PAE page-directory-pointer registers
  /// PAE: a walk reads the page-directory-pointer entry from memory, as under AMD's nested paging (APM vol. 2, 15.25).
  bool pdptes_in_memory = false;
  /// Tells guests apart: VPID, or ASID, and what the second stage is tagged with (mmu/second_stage). 0: not virtualized.
  u32 guest_tag = 0;
  unsigned physical_bits = 46;  ///< MAXPHYADDR, 32 to 52
  bool gigabyte_pages = true;   ///< CPUID.80000001H:EDX.Page1GB
  bool pse36 = true;            ///< CPUID.1:EDX.PSE-36

  /// What tells its translations from those of other address spaces.
  constexpr u64 space() const { return u64{guest_tag} << 12 | pcid; }
};

/// What all entries of a translation together permit (SDM vol. 3, 4.6.1).
struct PageRights {
  bool writable = false;
  bool user = false;
  bool executable = false;
  u8 protection_key = 0;
};

/// A set of AccessKind, by bit.
using AccessKinds = u8;
constexpr AccessKinds kind_bit(AccessKind kind) { return static_cast<AccessKinds>(1u << static_cast<unsigned>(kind)); }
inline constexpr AccessKinds all_kinds = 7;

/// PKRU forbids this data access to a user-mode address (SDM vol. 3, 4.6.2).
constexpr bool key_forbids(const PageRights& rights, bool write, bool user, const PagingContext& context) {
  if (!context.protection_keys || !rights.user || !paging_format(context.mode).protection_keys) return false;
  const u32 key_rights = context.pkru >> (2 * rights.protection_key);
  const bool access_disable = (key_rights & 1) != 0;
  const bool write_disable = (key_rights & 2) != 0;
  return access_disable || (write_disable && write && (user || context.write_protect));
}

/// The kinds of access that `rights` permit to `access`'s privilege (SDM vol. 3, 4.6.1 and 4.6.2), whatever its kind.
constexpr AccessKinds permitted_kinds(const PageRights& rights, const Access& access, const PagingContext& context) {
  bool read = false;
  bool write = false;
  bool execute = false;
  const bool user = access.user_mode();
  if (user) {
    read = rights.user;
    write = rights.user && rights.writable;
    execute = rights.user && rights.executable;
  } else {
    read = !(rights.user && context.smap && (access.implicit || !context.access_override));
    write = read && (rights.writable || !context.write_protect);
    execute = rights.executable && !(rights.user && context.smep);
  }
  if (context.protection_keys && rights.user) {
    read = read && !key_forbids(rights, false, user, context);
    write = write && !key_forbids(rights, true, user, context);
  }
  return static_cast<AccessKinds>((read ? kind_bit(AccessKind::Read) : 0) | (write ? kind_bit(AccessKind::Write) : 0) |
                                  (execute ? kind_bit(AccessKind::Execute) : 0));
}

}  // namespace bunshin
