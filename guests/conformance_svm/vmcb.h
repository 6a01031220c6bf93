#pragma once

// The virtual machine control block (AMD APM vol. 2, appendix B) and the numbers of section 15 and appendix C.

#include "guests/runtime/processor.h"

namespace guest {

struct VmcbSegment {
  u16 selector, attributes;
  u32 limit;
  u64 base;
  bool operator==(const VmcbSegment&) const = default;
};

/// The words of intercepts lie at 0Ch.
using Unaligned64 [[gnu::aligned(4)]] = u64;

struct Vmcb {
  u16 cr_reads, cr_writes, dr_reads, dr_writes;
  u32 exceptions;
  Unaligned64 instructions;  ///< bit n: the intercept whose exit code is 60h + n
  u32 more_instructions;
  u8 reserved0[0x3c - 0x18];
  u16 pause_threshold, pause_count;
  u64 io_map, msr_map, tsc_offset;
  u32 asid;
  u8 tlb_control, reserved1[3];
  u64 virtual_interrupt, shadow, exit_code, exit_info1, exit_info2, exit_interrupt, nested_control, avic_bar, ghcb,
      event, nested_cr3, virtualization, clean, next_rip;
  u8 fetched, fetched_bytes[15];
  u8 reserved2[0x400 - 0xe0];
  VmcbSegment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
  u8 reserved3[0x4cb - 0x4a0];
  u8 cpl;
  u32 reserved4;
  u64 efer;
  u8 reserved5[0x548 - 0x4d8];
  u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
  u8 reserved6[0x5d8 - 0x580];
  u64 rsp;
  u8 reserved7[0x5f8 - 0x5e0];
  u64 rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
  u8 reserved8[0x668 - 0x648];
  u64 pat, debug_control, branch_from, branch_to, exception_from, exception_to;
  u8 reserved9[0x1000 - 0x698];
};
static_assert(sizeof(Vmcb) == 0x1000);
static_assert(__builtin_offsetof(Vmcb, tlb_control) == 0x5c && __builtin_offsetof(Vmcb, next_rip) == 0xc8);
static_assert(__builtin_offsetof(Vmcb, cpl) == 0x4cb && __builtin_offsetof(Vmcb, exception_to) == 0x690);

namespace exit_code {
constexpr u64 cr_read = 0, cr_write = 0x10, dr_read = 0x20, dr_write = 0x30, exception = 0x40, intr = 0x60, nmi = 0x61,
              smi = 0x62, init = 0x63, vintr = 0x64, cr0_selective = 0x65, idtr_read = 0x66, gdtr_read = 0x67,
              ldtr_read = 0x68, tr_read = 0x69, idtr_write = 0x6a, gdtr_write = 0x6b, ldtr_write = 0x6c,
              tr_write = 0x6d, rdtsc = 0x6e, rdpmc = 0x6f, pushf = 0x70, popf = 0x71, cpuid = 0x72, rsm = 0x73,
              iret = 0x74, software_interrupt = 0x75, invd = 0x76, pause = 0x77, hlt = 0x78, invlpg = 0x79,
              invlpga = 0x7a, io = 0x7b, msr = 0x7c, task_switch = 0x7d, ferr_freeze = 0x7e, shutdown = 0x7f,
              vmrun = 0x80, vmmcall = 0x81, vmload = 0x82, vmsave = 0x83, stgi = 0x84, clgi = 0x85, skinit = 0x86,
              rdtscp = 0x87, icebp = 0x88, wbinvd = 0x89, monitor = 0x8a, mwait = 0x8b, mwait_armed = 0x8c,
              xsetbv = 0x8d, rdpru = 0x8e, efer_write_trap = 0x8f, cr_write_trap = 0x90, invpcid = 0xa2,
              nested_page_fault = 0x400, invalid = ~u64{0};
}  // namespace exit_code

/// EVENTINJ and EXITINTINFO (APM vol. 2, 15.20).
constexpr u64 event_valid = u64{1} << 31, event_has_code = 1u << 11, event_interrupt = 0, event_nmi = 2u << 8,
              event_exception = 3u << 8, event_software = 4u << 8;

/// Offset 60h (15.21).
constexpr u64 v_irq = 1u << 8, v_gif = 1u << 9, v_ignore_tpr = 1u << 20, v_intr_masking = 1u << 24,
              v_gif_enable = 1u << 25;
constexpr u64 v_interrupt(u64 vector, u64 priority) { return v_irq | priority << 16 | vector << 32; }

/// CPUID Fn8000_000A EDX.
namespace svm_feature {
constexpr unsigned nested_paging = 0, lbr = 1, lock = 2, next_rip = 3, tsc_ratio = 4, clean_bits = 5, flush_by_asid = 6,
                   decode_assists = 7, pause_filter = 10, pause_threshold = 12, avic = 13, virtual_vmload = 15,
                   virtual_gif = 16;
}
bool has(unsigned svm_feature);

constexpr u32 msr_efer = 0xc000'0080, msr_vm_cr = 0xc001'0114, msr_ignne = 0xc001'0115, msr_hsave = 0xc001'0117,
              msr_svm_key = 0xc001'0118, msr_tsc_ratio = 0xc000'0104, msr_pat = 0x277, msr_star = 0xc000'0081,
              msr_lstar = 0xc000'0082, msr_cstar = 0xc000'0083, msr_sfmask = 0xc000'0084, msr_fs_base = 0xc000'0100,
              msr_gs_base = 0xc000'0101, msr_kernel_gs_base = 0xc000'0102, msr_sysenter_cs = 0x174,
              msr_sysenter_esp = 0x175, msr_sysenter_eip = 0x176, msr_debug_control = 0x1d9;
constexpr u64 efer_sce = 1, efer_lme = 1u << 8, efer_lma = 1u << 10, efer_nxe = 1u << 11, efer_svme = 1u << 12;

}  // namespace guest
