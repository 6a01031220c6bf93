#pragma once

// The architectural state of one logical processor: registers and nothing else.

#include <array>
#include <bit>
#include <cstring>

#include "base/types.h"
#include "core/lazy_flags.h"

namespace bunshin {

static_assert(std::endian::native == std::endian::little, "the register file is addressed by byte");

enum Gpr : u8 { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/// Numbered as in instruction encodings.
enum class Seg : u8 { ES, CS, SS, DS, FS, GS };

/// A segment register with its hidden part. Attributes are laid out as the VMCS access-rights field (SDM vol. 3, table
/// 24-2): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable (null selector) 16. `limit` is in bytes.
struct Segment {
  u16 selector = 0;
  u32 attributes = 0;
  u32 limit = 0;
  u64 base = 0;

  static constexpr u32 code_or_data = 1u << 4, present = 1u << 7, avl = 1u << 12, long_mode = 1u << 13, big = 1u << 14,
                       granularity = 1u << 15, null = 1u << 16;
  unsigned type() const { return attributes & 0xf; }
  unsigned dpl() const { return (attributes >> 5) & 3; }
  unsigned rpl() const { return selector & 3; }
  bool is_null() const { return (attributes & null) != 0; }
  bool is_present() const { return (attributes & present) != 0; }
  bool is_code_or_data() const { return (attributes & code_or_data) != 0; }
  bool is_code() const { return (attributes & 8) != 0; }
  bool is_conforming() const { return (attributes & 0xc) == 0xc; }
  /// Data: writable; code: readable.
  bool is_writable_or_readable() const { return (attributes & 2) != 0; }
  bool is_expand_down() const { return (attributes & 0xc) == 4; }
  bool is_big() const { return (attributes & big) != 0; }
  bool is_long() const { return (attributes & long_mode) != 0; }
};

/// GDTR, IDTR.
struct TableRegister {
  u64 base = 0;
  u16 limit = 0xffff;
};

namespace cr0 {
inline constexpr u64 PE = 1, MP = 2, EM = 4, TS = 8, ET = 0x10, NE = 0x20, WP = 0x10000, AM = 0x40000, NW = 1u << 29,
                     CD = 1u << 30, PG = 1u << 31;
}
namespace cr4 {
inline constexpr u64 VME = 1, PVI = 2, TSD = 4, DE = 8, PSE = 0x10, PAE = 0x20, MCE = 0x40, PGE = 0x80, PCE = 0x100,
                     OSFXSR = 0x200, OSXMMEXCPT = 0x400, UMIP = 0x800, LA57 = 0x1000, VMXE = 0x2000, FSGSBASE = 0x10000,
                     PCIDE = 0x20000, OSXSAVE = 0x40000, SMEP = 0x100000, SMAP = 0x200000, PKE = 0x400000;
}
namespace efer {
inline constexpr u64 SCE = 1, LME = 0x100, LMA = 0x400, NXE = 0x800, SVME = 0x1000, FFXSR = 0x4000;
}
namespace rflags {
inline constexpr u64 CF = 1, fixed = 2, PF = 4, AF = 0x10, ZF = 0x40, SF = 0x80, TF = 0x100, IF = 0x200, DF = 0x400,
                     OF = 0x800, IOPL = 0x3000, NT = 0x4000, RF = 0x10000, VM = 0x20000, AC = 0x40000, VIF = 0x80000,
                     VIP = 0x100000, ID = 0x200000;
inline constexpr u64 status = CF | PF | AF | ZF | SF | OF;
}  // namespace rflags

/// A vector register of 128 bits: an XMM register, or the upper lane of a YMM register.
struct alignas(16) Xmm {
  std::array<u8, 16> bytes{};

  template <class T>
  T get(unsigned i) const {
    T v;
    std::memcpy(&v, bytes.data() + i * sizeof(T), sizeof(T));
    return v;
  }
  template <class T>
  void set(unsigned i, T v) {
    std::memcpy(bytes.data() + i * sizeof(T), &v, sizeof(T));
  }
};

/// An x87 register in its memory format; `mantissa` is also the MMX register.
struct X87Register {
  u64 mantissa = 0;
  u16 sign_exponent = 0;
};

/// The x87 FPU (SDM vol. 1, ch. 8). Registers are numbered physically, ST(i) is registers[(top + i) & 7].
struct X87State {
  std::array<X87Register, 8> registers{};
  u16 control = 0x37f;
  u16 status = 0;  ///< without TOP, which is `top`
  u8 top = 0;
  u8 empty = 0xff;  ///< bit i set: physical register i is empty
  u16 opcode = 0;   ///< low 11 bits
  u16 ip_selector = 0, operand_selector = 0;
  u64 ip = 0, operand = 0;
};

/// Model-specific registers that are plain storage or whose effect lies in the core.
struct Msrs {
  u64 efer = 0, star = 0, lstar = 0, cstar = 0, sfmask = 0, kernel_gs_base = 0, tsc_aux = 0;
  u64 sysenter_cs = 0, sysenter_esp = 0, sysenter_eip = 0;
  u64 pat = 0x0007040600070406ULL;
  u64 misc_enable = 1u << 18 | 1;  ///< MONITOR and fast strings on, as firmware leaves them
  u64 debugctl = 0, spec_ctrl = 0, feature_control = 0, mcg_status = 0;
  /// Last branches and, before the last exception or interrupt, the last branch (SDM vol. 3, 17.4.8; APM vol. 2,
  /// 13.1.1.7). AMD's processors have one pair of each.
  std::array<u64, 32> branch_from{}, branch_to{};
  u64 branch_top = 0, branch_select = 0, exception_from = 0, exception_to = 0;
  /// Subtracted from the cycles spent in Activity::Active to give IA32_MPERF and IA32_APERF.
  u64 mperf_base = 0, aperf_base = 0;
  u64 tsc_adjust = 0;
  u64 mtrr_def_type = 0;
  std::array<u64, 11> mtrr_fixed{};
  std::array<u64, 16> mtrr_variable{};  ///< base, mask pairs
  std::array<u64, 24> mc_banks{};       ///< machine-check banks: control, status, address, miscellaneous of each
  /// AMD: HWCR, SYSCFG, DE_CFG, TOP_MEM, TOP_MEM2 and the two I/O range registers' base, mask pairs.
  u64 hwcr = 0, syscfg = 0, de_cfg = 0, top_mem = 0, top_mem2 = 0;
  std::array<u64, 4> iorr{};
};

/// What is delayed by one instruction, and what the processor waits in (SDM vol. 3, 24.4.2).
enum class Activity : u8 { Active, Halted, Shutdown, WaitForSipi, Monitoring };

struct CpuState {
  /// General registers, addressed by byte offset (core/record.h): 16 registers, then three slots that make effective
  /// addresses uniform: always zero, RIP at the start of the running block, and the constant 4096.
  static constexpr unsigned zero_slot = 16, rip_slot = 17, page_slot = 18;
  alignas(64) std::array<u64, 19> gpr{};
  /// RIP of the next instruction, exact only between blocks (the engine keeps it as block start + Record::offset inside).
  u64 rip = 0xfff0;
  LazyFlags flags;

  std::array<Segment, 6> seg{};
  Segment ldtr{}, tr{};
  TableRegister gdtr{}, idtr{};

  u64 cr0 = 0x60000010, cr2 = 0, cr3 = 0, cr4 = 0;
  std::array<u64, 8> dr{};
  u64 xcr0 = 1;
  u32 pkru = 0;
  /// PAE page-directory-pointer registers, loaded by MOV CR3 (SDM vol. 3, 4.4.1).
  std::array<u64, 4> pdpte{};
  Msrs msr;
  /// Added to the core's cycle count to give the TSC.
  u64 tsc_offset = 0;
  /// State of the generator behind RDRAND and RDSEED, seeded from the run's seed; survives reset.
  u64 rng_state = 0;

  X87State x87;
  std::array<Xmm, 16> xmm{};
  /// Bits 255:128 of the YMM registers, apart from the low ones as XSAVE keeps them (component 2): SSE instructions leave
  /// them alone and find their registers as if they did not exist.
  std::array<Xmm, 16> ymm_high{};
  u32 mxcsr = 0x1f80;

  Activity activity = Activity::Active;
  /// Host-physical address of the line that MONITOR armed and nobody has written since; else `no_line`.
  static constexpr u64 no_line = ~u64{0};
  u64 monitored_line = no_line;
  bool masked_interrupts_wake = false;  ///< MWAIT with ECX bit 0
  u8 cpl = 0;
  bool interrupt_shadow = false;  ///< after STI or MOV/POP SS: interrupts wait one instruction
  bool debug_shadow = false;      ///< after MOV/POP SS: debug exceptions wait too
  bool nmi_blocked = false;
  bool nmi_pending = false;
  u64 pending_debug = 0;  ///< DR6 bits of a trap to be delivered after this instruction

  Segment& segment(Seg s) { return seg[static_cast<unsigned>(s)]; }
  const Segment& segment(Seg s) const { return seg[static_cast<unsigned>(s)]; }
  bool protected_mode() const { return (cr0 & cr0::PE) != 0; }
  bool paging() const { return (cr0 & cr0::PG) != 0; }
  bool long_mode_active() const { return (msr.efer & efer::LMA) != 0; }
  bool code64() const { return long_mode_active() && segment(Seg::CS).is_long(); }
  bool v86() const { return (flags.system & rflags::VM) != 0; }
  unsigned iopl() const { return static_cast<unsigned>(flags.system >> 12) & 3; }
};

}  // namespace bunshin
