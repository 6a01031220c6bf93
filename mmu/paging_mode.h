#pragma once

// Paging modes as rows of data (SDM vol. 3, table 4-1): what differs between them for the one walking loop
// (mmu/table_walk), in either dimension. EPT's formats (SDM vol. 3, 29.3.2) are rows of the same table.

#include <array>
#include <string_view>

#include "base/types.h"

namespace bunshin {

/// The last two are second-stage formats only. Under AMD-V the second stage has one of the ordinary modes (APM vol. 2, 15.25).
enum class PagingMode : u8 { None, TwoLevel, Pae, FourLevel, FiveLevel, Ept4Level, Ept5Level };

/// Bits of paging-structure entries and of the page-fault error code (SDM vol. 3, 4.5 and 4.7).
namespace pte {
inline constexpr u64 P = 1, RW = 2, US = 4, PWT = 8, PCD = 0x10, A = 0x20, D = 0x40, PS = 0x80, G = 0x100,
                     large_PAT = 0x1000, XD = u64{1} << 63;
inline constexpr unsigned key_shift = 59;
}  // namespace pte
namespace page_fault {
inline constexpr u32 P = 1, W = 2, U = 4, RSVD = 8, ID = 0x10, PK = 0x20;
}
/// Bits of EPT entries (SDM vol. 3, tables 29-1 to 29-7). Bits 5:3 of a leaf are its memory type.
namespace ept {
inline constexpr u64 R = 1, W = 2, X = 4, ignore_PAT = 0x40, PS = 0x80, A = 0x100, D = 0x200, XU = 0x400;
inline constexpr unsigned type_shift = 3;
}  // namespace ept

/// Where an 8-byte entry of any format has a physical address.
inline constexpr u64 entry_address_bits = 0x000f'ffff'ffff'f000;

struct PagingFormat {
  std::string_view name;
  /// Table levels; level 1 holds the entries that map 4 KiB pages, level `levels` is the root.
  u8 levels = 0;
  u8 entry_bytes = 0;
  /// Linear-address bits that index the tables of levels 1, 2, …
  std::array<u8, 5> index_bits{};
  /// Bits of CR3 that address the root table.
  u64 root_mask = 0;
  /// Bit L set: an entry of level L with PS (bit 7) set maps a large page.
  u8 large_levels = 0;
  /// The root table's entries live in processor registers, loaded by MOV CR3 (SDM vol. 3, 4.4.1).
  bool root_in_registers = false;
  /// Protection keys exist (SDM vol. 3, 4.6.2).
  bool protection_keys = false;
  /// Bits 62:52 are software's; in PAE paging they are reserved (SDM vol. 3, tables 4-8 to 4-11).
  bool high_bits_ignored = false;
  /// An entry with none of these bits set references nothing.
  u64 present = pte::P;
  /// Bits that forbid when set. All others that are rights permit when set, in every entry of a translation.
  u64 inverted = 0;
  u64 accessed = pte::A, dirty = pte::D;
  bool is_ept = false;
};

inline constexpr std::array<PagingFormat, 7> paging_formats{{
    {"none", 0, 0, {}, 0, 0, false, false, false},
    {"32-bit", 2, 4, {10, 10}, 0xffff'f000, 1 << 2, false, false, false, pte::P, pte::XD},
    {"PAE", 3, 8, {9, 9, 2}, 0xffff'ffe0, 1 << 2, true, false, false, pte::P, pte::XD},
    {"4-level", 4, 8, {9, 9, 9, 9}, 0x000f'ffff'ffff'f000, 1 << 2 | 1 << 3, false, true, true, pte::P, pte::XD},
    {"5-level", 5, 8, {9, 9, 9, 9, 9}, 0x000f'ffff'ffff'f000, 1 << 2 | 1 << 3, false, true, true, pte::P, pte::XD},
    {"EPT 4-level",
     4,
     8,
     {9, 9, 9, 9},
     0x000f'ffff'ffff'f000,
     1 << 2 | 1 << 3,
     false,
     false,
     true,
     ept::R | ept::W | ept::X,
     0,
     ept::A,
     ept::D,
     true},
    {"EPT 5-level",
     5,
     8,
     {9, 9, 9, 9, 9},
     0x000f'ffff'ffff'f000,
     1 << 2 | 1 << 3,
     false,
     false,
     true,
     ept::R | ept::W | ept::X,
     0,
     ept::A,
     ept::D,
     true},
}};

constexpr const PagingFormat& paging_format(PagingMode paging) { return paging_formats[static_cast<unsigned>(paging)]; }

/// The mode that CR0.PG, CR4.PAE, EFER.LMA and CR4.LA57 select (SDM vol. 3, 4.1.1).
constexpr PagingMode select_paging(bool pg, bool pae, bool lma, bool la57) {
  if (!pg) return PagingMode::None;
  if (!pae) return PagingMode::TwoLevel;
  if (!lma) return PagingMode::Pae;
  return la57 ? PagingMode::FiveLevel : PagingMode::FourLevel;
}

}  // namespace bunshin
