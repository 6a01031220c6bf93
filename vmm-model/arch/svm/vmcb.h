#pragma once

// The virtual machine control block (APM vol. 2, appendix B) as a hypervisor writes it.

#include "base/types.h"

namespace bunshin::vmm::svm {

/// Offsets of the control area (table B-1).
namespace control {
inline constexpr u32 intercept_cr_reads = 0x000, intercept_cr_writes = 0x002, intercept_dr = 0x004,
                     intercept_exceptions = 0x008, intercept_1 = 0x00c, intercept_2 = 0x010, io_permissions = 0x040,
                     msr_permissions = 0x048, tsc_offset = 0x050, asid = 0x058, tlb_control = 0x05c,
                     virtual_interrupt = 0x060, interrupt_shadow = 0x068, exit_code = 0x070, exit_info_1 = 0x078,
                     exit_info_2 = 0x080, exit_interrupt_info = 0x088, nested_control = 0x090, event_injection = 0x0a8,
                     nested_cr3 = 0x0b0, clean = 0x0c0, next_rip = 0x0c8;
}

/// Offsets of the state-save area (table B-2), from the start of the block.
namespace save {
inline constexpr u32 es = 0x400, cs = 0x410, ss = 0x420, ds = 0x430, fs = 0x440, gs = 0x450, gdtr = 0x460, ldtr = 0x470,
                     idtr = 0x480, tr = 0x490, cpl = 0x4cb, efer = 0x4d0, cr4 = 0x548, cr3 = 0x550, cr0 = 0x558,
                     dr7 = 0x560, dr6 = 0x568, rflags = 0x570, rip = 0x578, rsp = 0x5d8, rax = 0x5f8, star = 0x600,
                     lstar = 0x608, cstar = 0x610, sfmask = 0x618, kernel_gs_base = 0x620, sysenter_cs = 0x628,
                     sysenter_esp = 0x630, sysenter_eip = 0x638, cr2 = 0x640, pat = 0x668;
}

/// Bits of intercept_1 and intercept_2.
namespace intercept {
inline constexpr u32 intr = 1 << 0, nmi = 1 << 1, smi = 1 << 2, init = 1 << 3, vintr = 1 << 4, rdpmc = 1 << 15,
                     cpuid = 1 << 18, invd = 1 << 22, hlt = 1 << 24, invlpg = 1 << 25, invlpga = 1 << 26, io = 1 << 27,
                     msr = 1 << 28, task_switch = 1 << 29, shutdown = u32{1} << 31;
inline constexpr u32 vmrun = 1 << 0, vmmcall = 1 << 1, vmload = 1 << 2, vmsave = 1 << 3, stgi = 1 << 4, clgi = 1 << 5,
                     skinit = 1 << 6, icebp = 1 << 8, wbinvd = 1 << 9, monitor = 1 << 10, mwait = 1 << 11,
                     xsetbv = 1 << 13;
}  // namespace intercept

/// virtual_interrupt (15.21).
namespace virtual_interrupt {
inline constexpr u64 tpr_mask = 0xf, irq = 1 << 8, priority_shift = 16, ignore_tpr = 1 << 20, masking = 1 << 24;
}

/// event_injection and exit_interrupt_info (15.20).
namespace event {
inline constexpr u64 type_shift = 8, error_valid = 1 << 11, valid = u64{1} << 31;
inline constexpr u64 external = 0, nmi = 2, exception = 3, software = 4;
}  // namespace event

/// Exit codes (appendix C).
namespace exit_code {
inline constexpr u64 cr_read = 0x00, cr_write = 0x10, dr_read = 0x20, exception = 0x40, intr = 0x60, nmi = 0x61,
                     smi = 0x62, init = 0x63, vintr = 0x64, cr0_selective = 0x65, rdpmc = 0x6f, cpuid = 0x72,
                     invd = 0x76, hlt = 0x78, invlpg = 0x79, invlpga = 0x7a, io = 0x7b, msr = 0x7c, task_switch = 0x7d,
                     shutdown = 0x7f, vmrun = 0x80, vmmcall = 0x81, vmload = 0x82, vmsave = 0x83, stgi = 0x84,
                     clgi = 0x85, skinit = 0x86, icebp = 0x88, wbinvd = 0x89, monitor = 0x8a, mwait = 0x8b,
                     mwait_armed = 0x8c, xsetbv = 0x8d, npf = 0x400, invalid = ~u64{0};
}

/// tlb_control (15.16.1).
inline constexpr u8 flush_all = 1, flush_guest = 3;

}  // namespace bunshin::vmm::svm
