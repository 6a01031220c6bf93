#pragma once

// A guest's processor state by the manuals' names, as exit handlers see it.

#include <array>

#include "base/address.h"

namespace bunshin::vmm {

enum Gpr : u8 { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15 };

/// Of canonical addresses in 64-bit mode: guests are not shown LA57.
inline constexpr unsigned guest_linear_bits = 48;

/// The order is the instruction encoding's and world_switch.S's.
struct GeneralRegisters {
  std::array<u64, 16> gpr{};
  u64& operator[](unsigned index) { return gpr[index & 15]; }
  u64 operator[](unsigned index) const { return gpr[index & 15]; }
};

/// The first six have their number in instruction encodings.
enum class SegmentName : u8 { es, cs, ss, ds, fs, gs, ldtr, tr, gdtr, idtr, count };

/// `attributes` as a VMCB has them (APM vol. 2, 15.5.1): type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11.
struct SegmentState {
  u16 selector = 0;
  u16 attributes = 0;
  u32 limit = 0;
  u64 base = 0;
  bool operator==(const SegmentState& other) const {
    return selector == other.selector && limit == other.limit && base == other.base && attributes == other.attributes;
  }
};
namespace segment {
inline constexpr u16 type_mask = 0xf, S = 1 << 4, dpl_shift = 5, P = 1 << 7, L = 1 << 9, DB = 1 << 10, G = 1 << 11;
}

namespace cr0 {
inline constexpr u64 PE = 1, MP = 2, EM = 4, TS = 8, ET = 0x10, NE = 0x20, WP = 0x10000, AM = 0x40000, NW = 0x2000'0000,
                     CD = 0x4000'0000, PG = 0x8000'0000;
}
namespace cr4 {
inline constexpr u64 PSE = 0x10, PAE = 0x20, PGE = 0x80, LA57 = 1 << 12, VMXE = 1 << 13, PCIDE = 1 << 17,
                     OSXSAVE = 1 << 18, UMIP = 1 << 11, FSGSBASE = 1 << 16, SMEP = 1 << 20, SMAP = 1 << 21,
                     PKE = 1 << 22;
}
namespace efer {
inline constexpr u64 SCE = 1, LME = 1 << 8, LMA = 1 << 10, NXE = 1 << 11, SVME = 1 << 12, LMSLE = 1 << 13,
                     FFXSR = 1 << 14, TCE = 1 << 15;
}
namespace rflags {
inline constexpr u64 CF = 1, fixed = 2, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, IF = 0x200, DF = 0x400,
                     OF = 0x800, RF = 1 << 16, VM = 1 << 17, AC = 1 << 18;
inline constexpr u64 arithmetic = CF | PF | AF | ZF | SF | OF;
}  // namespace rflags

/// Exception vectors (SDM vol. 3, table 6-1).
namespace vector {
inline constexpr u8 DE = 0, DB = 1, NMI = 2, BP = 3, OF = 4, UD = 6, DF = 8, TS = 10, NP = 11, SS = 12, GP = 13,
                    PF = 14, AC = 17;
}

namespace msr {
inline constexpr u32 tsc = 0x10, platform_id = 0x17, apic_base = 0x1b, bios_signature = 0x8b, mtrr_cap = 0xfe,
                     sysenter_cs = 0x174, sysenter_esp = 0x175, sysenter_eip = 0x176, mcg_cap = 0x179,
                     mcg_status = 0x17a, misc_enable = 0x1a0, mtrr_physical_base = 0x200, mtrr_fixed_64k = 0x250,
                     mtrr_fixed_16k = 0x258, mtrr_fixed_4k = 0x268, pat = 0x277, mtrr_default_type = 0x2ff,
                     tsc_deadline = 0x6e0, efer = 0xc000'0080, star = 0xc000'0081, lstar = 0xc000'0082,
                     cstar = 0xc000'0083, sfmask = 0xc000'0084, fs_base = 0xc000'0100, gs_base = 0xc000'0101,
                     kernel_gs_base = 0xc000'0102, tsc_aux = 0xc000'0103, syscfg = 0xc001'0010, hwcr = 0xc001'0015,
                     nb_cfg = 0xc001'001f, int_pending = 0xc001'0055, vm_cr = 0xc001'0114, vm_hsave_pa = 0xc001'0117;
}  // namespace msr

}  // namespace bunshin::vmm
