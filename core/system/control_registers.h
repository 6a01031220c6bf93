#pragma once

// Control registers (SDM vol. 3, 2.5): what may be written, and what a write does to the mode, the TLB and the APIC.
// Every function returns false with a fault raised if the write is refused; nothing has changed then.

#include "core/cpu.h"
#include "core/record.h"

namespace bunshin {

/// MOV to CR0 (LMSW and CLTS are variants of it), with PE/PG/LME transitions.
[[nodiscard]] bool write_cr0(Cpu& cpu, u64 value);
[[nodiscard]] bool write_cr3(Cpu& cpu, u64 value);
[[nodiscard]] bool write_cr4(Cpu& cpu, u64 value);
[[nodiscard]] bool write_cr8(Cpu& cpu, u64 value);

/// Bits of CR4 that the profile lets software set.
u64 cr4_writable(const CpuProfile& profile);

/// PAE paging without long mode: reads the four page-directory-pointer-table entries that `cr3` points at into
/// CpuState::pdpte (SDM vol. 3, 4.4.1). #GP(0) if a present one has a reserved bit set.
[[nodiscard]] bool load_pdptes(Cpu& cpu, u64 cr3);

}  // namespace bunshin
