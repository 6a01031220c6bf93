#pragma once

// The interface by which a hypervisor fills the TLB for its guests, where software fills it: docs/translation_schemes.md.

#include <array>

#include "base/types.h"

namespace bunshin {

/// CPUID leaf whose EAX is the highest of the registers below, and whose EBX, ECX and EDX spell "software TLB".
inline constexpr u32 software_fill_leaf = 0x4000'5400;
inline constexpr std::array<u32, 3> software_fill_name{0x7466'6f73, 0x6572'6177, 0x424c'5420};

/// MSRs. Their numbers lie in the range that no processor uses (SDM vol. 4, 2.1), and that no guest reaches without an exit.
namespace fill_msr {
inline constexpr u32 root = 0x4000'5400;         ///< address of a page; 0: no guest is filled by hand
inline constexpr u32 address = 0x4000'5401;      ///< linear address of the last miss; what an entry is for
inline constexpr u32 entry = 0x4000'5402;        ///< written: a PTE of 4-level paging, without A
inline constexpr u32 large_entry = 0x4000'5403;  ///< written: a PDE of a 2 MiB page
inline constexpr u32 count = 4;
}  // namespace fill_msr

}  // namespace bunshin
