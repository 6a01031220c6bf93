#pragma once

// Memory types: what PAT and MTRRs say of a page (SDM vol. 3, 11.12 and table 11-7). Only timing depends on them.

#include <array>

#include "base/types.h"

namespace bunshin {

/// Encoded as in IA32_PAT and the MTRRs (SDM vol. 3, tables 11-8 and 11-10); encodings 2 and 3 are reserved.
enum class MemoryType : u8 {
  Uncacheable = 0,
  WriteCombining = 1,
  WriteThrough = 4,
  WriteProtected = 5,
  WriteBack = 6,
  UncachedMinus = 7
};

/// The PAT entry that a translation's PAT, PCD and PWT bits select (`index` = PAT:PCD:PWT, 0-7). A reserved encoding,
/// which WRMSR refuses, reads as uncacheable.
constexpr MemoryType pat_memory_type(u64 pat_msr, unsigned index) {
  const unsigned encoding = static_cast<unsigned>(pat_msr >> (8 * (index & 7))) & 0xff;
  const bool valid = encoding <= 7 && encoding != 2 && encoding != 3;
  return valid ? static_cast<MemoryType>(encoding) : MemoryType::Uncacheable;
}

/// SDM vol. 3, table 11-7. `mtrr` is one of UC, WC, WT, WP, WB; anything else counts as UC.
constexpr MemoryType effective_memory_type(MemoryType pat, MemoryType mtrr) {
  using enum MemoryType;
  // Rows by MTRR type, columns by PAT type; both by encoding, reserved encodings uncacheable.
  //                                     UC           WC              -            -            WT
  //                                     WP           WB              UC-
  constexpr std::array<std::array<MemoryType, 8>, 8> table{{
      {Uncacheable, WriteCombining, Uncacheable, Uncacheable, Uncacheable, Uncacheable, Uncacheable, Uncacheable},
      {Uncacheable, WriteCombining, Uncacheable, Uncacheable, Uncacheable, Uncacheable, WriteCombining, WriteCombining},
      {},
      {},
      {Uncacheable, WriteCombining, Uncacheable, Uncacheable, WriteThrough, WriteProtected, WriteThrough, Uncacheable},
      {Uncacheable, WriteCombining, Uncacheable, Uncacheable, WriteThrough, WriteProtected, WriteProtected,
       WriteCombining},
      {Uncacheable, WriteCombining, Uncacheable, Uncacheable, WriteThrough, WriteProtected, WriteBack, Uncacheable},
      {Uncacheable, WriteCombining, Uncacheable, Uncacheable, Uncacheable, Uncacheable, Uncacheable, Uncacheable},
  }};
  return table[static_cast<unsigned>(mtrr) & 7][static_cast<unsigned>(pat) & 7];
}

}  // namespace bunshin
