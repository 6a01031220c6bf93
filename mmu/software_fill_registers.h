#pragma once

// The interface by which a hypervisor fills the TLB for its guests, where software fills it: docs/translation_schemes.md.

#include "base/types.h"

namespace bunshin {

/// CPUID leaf whose EBX, ECX, EDX spell "software TLB"; EAX is the highest of the registers below.
inline constexpr u32 software_fill_leaf = 0x4000'5400;

/// MSRs. Their numbers lie in the range that no processor uses (SDM vol. 4, 2.1), and that no guest reaches without an exit.
namespace fill_msr {
inline constexpr u32 root = 0x4000'5400;         ///< address of a page; 0: no guest is filled by hand
inline constexpr u32 address = 0x4000'5401;      ///< linear address of the last miss; what an entry is for
inline constexpr u32 entry = 0x4000'5402;        ///< written: a PTE of 4-level paging, without A
inline constexpr u32 large_entry = 0x4000'5403;  ///< written: a PDE of a 2 MiB page
inline constexpr u32 count = 4;
}  // namespace fill_msr

}  // namespace bunshin
