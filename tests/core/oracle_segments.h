#pragma once

// The descriptor tables that user code sees: Linux's GDT, and an LDT of our own for segments with bases and limits.

#include <array>

#include "core/state.h"
#include "tests/core/oracle_state.h"

namespace bunshin::oracle {

/// Linux's selectors (arch/x86/include/asm/segment.h).
inline constexpr u16 code32_selector = 0x23, data_selector = 0x2b, code64_selector = 0x33, per_cpu_selector = 0x78;

/// As Linux fills it, but for the TSS, LDT and per-processor entries, whose contents users cannot see or that vary.
inline constexpr std::array<u64, 16> gdt_image = {0,
                                                  0x00cf9b000000ffff,
                                                  0x00af9b000000ffff,
                                                  0x00cf93000000ffff,
                                                  0x00cffb000000ffff,
                                                  0x00cff3000000ffff,
                                                  0x00affb000000ffff};

/// One entry of the LDT, as modify_ldt(2) has it.
struct LocalSegment {
  u32 base, limit;
  u8 contents;  ///< 0 data, 1 data that expands down, 2 code
  bool big, execute_only_or_read_only, pages, not_present;
};

inline constexpr std::array<LocalSegment, 10> local_segments = {{
    {0x20'0000, 0x3fff, 0, true, false, false, false},   // the writable data pages
    {0x20'0100, 0x2fe7, 0, false, false, false, false},  // 16-bit, odd limit
    {0x20'0000, 0x0fff, 1, true, false, false, false},   // expand-down, 32 bits: everything above the first page
    {0x1f'8000, 0x8fff, 1, false, false, false, false},  // expand-down, 16 bits: nothing above 64 KiB
    {0x20'0000, 0xffff, 0, true, true, false, false},    // read-only
    {0, 0xfffff, 2, true, false, true, false},           // readable code, flat
    {0x20'0000, 0x1fff, 2, true, true, false, false},    // execute-only
    {0x20'0000, 0x3fff, 0, true, false, false, true},    // not present
    {0x1f'0000, 0x00014, 0, true, false, true, false},   // limit in pages, ends behind the read-only page
    {0x30'0000, 0xffff, 2, false, false, false, false},  // 16-bit code
}};

constexpr u16 local_selector(unsigned index) { return static_cast<u16>(index << 3 | 7); }
inline constexpr u16 code16_selector = local_selector(9);
/// What code of this kind runs in.
constexpr u16 code_selector_of(CodeKind kind) {
  return kind == CodeKind::Long ? code64_selector : kind == CodeKind::Compatibility ? code32_selector : code16_selector;
}
/// The descriptor that Linux makes of it.
u64 local_descriptor(unsigned index);
/// The hidden part that loading this selector gives; a null segment if it cannot be loaded as data.
Segment data_segment(u16 selector, bool with_ldt);

}  // namespace bunshin::oracle
