#pragma once

// The virtual machine control block as it lies in memory (AMD APM vol. 2, appendix B): the control area, and from 400H on the
// state-save area. Addresses are physical, reserved fields are nobody's.

#include <array>
#include <cstddef>
#include <type_traits>

#include "base/types.h"

namespace bunshin::svm {

struct VmcbSegment {
  u16 selector = 0;
  u16 attributes = 0;  ///< bits 55:52 and 47:40 of a descriptor
  u32 limit = 0;       ///< in bytes
  u64 base = 0;
};

/// Table B-1.
struct VmcbControl {
  std::array<u32, 6> intercepts{};  ///< bit n of all words together: the intercept whose EXITCODE is n
  std::array<u8, 0x24> reserved_018{};
  u16 pause_filter_threshold = 0;
  u16 pause_filter_count = 0;
  u64 io_map = 0;   ///< IOPM_BASE_PA
  u64 msr_map = 0;  ///< MSRPM_BASE_PA
  u64 tsc_offset = 0;
  u32 asid = 0;
  u32 tlb_control = 0;
  u64 virtual_interrupt = 0;  ///< V_TPR, V_IRQ … : namespace virtual_interrupt
  u64 interrupt_shadow = 0;   ///< bit 0; bit 1: GUEST_INTERRUPT_MASK
  u64 exit_code = 0;
  u64 exit_info_1 = 0;
  u64 exit_info_2 = 0;
  u64 exit_interrupt_info = 0;  ///< EXITINTINFO
  u64 nested_control = 0;       ///< NP_ENABLE and SEV's
  u64 avic_bar = 0;
  u64 ghcb = 0;
  u64 event_injection = 0;  ///< EVENTINJ
  u64 nested_cr3 = 0;       ///< N_CR3
  u64 virtual_control = 0;  ///< LBR_VIRTUALIZATION_ENABLE, virtual VMLOAD and VMSAVE
  u32 clean = 0;
  u32 reserved_0c4 = 0;
  u64 next_rip = 0;
  u8 fetched_bytes = 0;
  std::array<u8, 15> instruction_bytes{};
  std::array<u8, 0x320> reserved_0e0{};
};

/// Table B-2.
struct VmcbSave {
  VmcbSegment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
  std::array<u8, 0x2b> reserved_0a0{};
  u8 cpl = 0;
  u32 reserved_0cc = 0;
  u64 efer = 0;
  std::array<u8, 0x70> reserved_0d8{};
  u64 cr4 = 0, cr3 = 0, cr0 = 0, dr7 = 0, dr6 = 0, rflags = 0, rip = 0;
  std::array<u8, 0x58> reserved_180{};
  u64 rsp = 0;
  std::array<u64, 3> shadow_stack{};
  u64 rax = 0, star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0;
  u64 sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0, cr2 = 0;
  std::array<u8, 0x20> reserved_248{};
  u64 pat = 0, debugctl = 0, branch_from = 0, branch_to = 0, exception_from = 0, exception_to = 0;
};

struct Vmcb {
  VmcbControl control;
  VmcbSave save;
};

inline constexpr u64 save_area = 0x400;  ///< where VmcbSave begins

/// Offset 60H.
namespace virtual_interrupt {
inline constexpr u64 tpr = 0xff, irq = 1 << 8, gif = 1 << 9, ignore_tpr = 1 << 20, masking = 1 << 24,
                     gif_enable = 1 << 25;
inline constexpr unsigned priority_shift = 16, vector_shift = 32;
}  // namespace virtual_interrupt
/// Offset 90H, offset B8H.
inline constexpr u64 nested_paging = 1;
inline constexpr u64 virtual_branch_records = 1, virtual_vmload = 2;

/// Offset C0H: groups of fields that software has not changed since the last #VMEXIT (15.15.3).
namespace clean {
inline constexpr u32 intercepts = 1 << 0, maps = 1 << 1, asid = 1 << 2, tpr = 1 << 3, nested_paging = 1 << 4,
                     control_registers = 1 << 5, debug_registers = 1 << 6, tables = 1 << 7, segments = 1 << 8,
                     cr2 = 1 << 9, branches = 1 << 10;
inline constexpr u32 never = 0;
}  // namespace clean

/// Offset 5CH (15.16).
enum class TlbControl : u8 { Nothing = 0, FlushAll = 1, FlushGuest = 3, FlushGuestNonGlobal = 7 };

/// EVENTINJ and EXITINTINFO (15.20, 15.7.2).
namespace event_field {
inline constexpr u64 vector = 0xff, error_code_valid = 1 << 11, valid = u64{1} << 31;
inline constexpr unsigned type_shift = 8, error_code_shift = 32;
enum Type : u8 { external = 0, nmi = 2, exception = 3, software_interrupt = 4 };
}  // namespace event_field

static_assert(std::is_trivially_copyable_v<Vmcb>);
static_assert(offsetof(VmcbControl, pause_filter_threshold) == 0x3c && offsetof(VmcbControl, io_map) == 0x40);
static_assert(offsetof(VmcbControl, asid) == 0x58 && offsetof(VmcbControl, virtual_interrupt) == 0x60);
static_assert(offsetof(VmcbControl, exit_code) == 0x70 && offsetof(VmcbControl, nested_control) == 0x90);
static_assert(offsetof(VmcbControl, event_injection) == 0xa8 && offsetof(VmcbControl, clean) == 0xc0);
static_assert(offsetof(VmcbControl, next_rip) == 0xc8 && offsetof(VmcbControl, instruction_bytes) == 0xd1);
static_assert(offsetof(Vmcb, save) == save_area);
static_assert(offsetof(VmcbSave, gdtr) == 0x60 && offsetof(VmcbSave, tr) == 0x90);
static_assert(offsetof(VmcbSave, cpl) == 0xcb && offsetof(VmcbSave, efer) == 0xd0 && offsetof(VmcbSave, cr4) == 0x148);
static_assert(offsetof(VmcbSave, rip) == 0x178 && offsetof(VmcbSave, rsp) == 0x1d8 && offsetof(VmcbSave, rax) == 0x1f8);
static_assert(offsetof(VmcbSave, cr2) == 0x240 && offsetof(VmcbSave, pat) == 0x268);
static_assert(offsetof(VmcbSave, exception_to) == 0x290);

}  // namespace bunshin::svm
