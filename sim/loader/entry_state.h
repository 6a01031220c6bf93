#pragma once

// The processor's state when a boot loader jumps to a kernel.

#include "core/state.h"
#include "sim/loader/boot_memory.h"

namespace bunshin {

/// What firmware leaves behind in every processor: caches on, MTRRs that make RAM write-back and the PCI hole uncached
/// (SDM vol. 3, 11.11), VMX locked off.
void apply_firmware_state(CpuState& state, unsigned physical_bits, u64 pci_hole);

/// Selectors of the table that both entries load: the Linux boot protocol asks for 0x10 and 0x18.
inline constexpr u16 boot_code_selector = 0x10, boot_data_selector = 0x18, boot_tss_selector = 0x20;

/// Protected mode, flat 4 GiB segments, paging and interrupts off. All general registers 0.
void enter_protected_mode(CpuState& state, BootMemory& memory, u64 entry);

/// 64-bit mode, the first 4 GiB mapped to themselves by 2 MiB pages, interrupts off. All general registers 0.
void enter_long_mode(CpuState& state, BootMemory& memory, u64 entry);

}  // namespace bunshin
