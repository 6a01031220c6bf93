#pragma once

// Encodings of the VMCS fields and the bits in them (Intel SDM vol. 3, appendix B and chapter 24), capability MSRs (appendix
// A), exit reasons (appendix C).

#include "guests/runtime/processor.h"

namespace guest {

namespace vmcs {
constexpr u32 vpid = 0x0, posted_vector = 0x2, eptp_index = 0x4;
constexpr u32 guest_es = 0x800, guest_cs = 0x802, guest_ss = 0x804, guest_ds = 0x806, guest_fs = 0x808,
              guest_gs = 0x80a, guest_ldtr = 0x80c, guest_tr = 0x80e, guest_interrupt_status = 0x810, pml_index = 0x812;
constexpr u32 host_es = 0xc00, host_cs = 0xc02, host_ss = 0xc04, host_ds = 0xc06, host_fs = 0xc08, host_gs = 0xc0a,
              host_tr = 0xc0c;
constexpr u32 io_map_a = 0x2000, io_map_b = 0x2002, msr_map = 0x2004, exit_msr_store = 0x2006, exit_msr_load = 0x2008,
              entry_msr_load = 0x200a, pml_address = 0x200e, tsc_offset = 0x2010, virtual_apic = 0x2012,
              apic_access = 0x2014, posted_descriptor = 0x2016, vmfunc_controls = 0x2018, eptp = 0x201a,
              eoi_exit_0 = 0x201c, eptp_list = 0x2024, vmread_map = 0x2026, vmwrite_map = 0x2028,
              ve_information = 0x202a, xss_exit = 0x202c, tsc_multiplier = 0x2032;
constexpr u32 guest_physical = 0x2400;
constexpr u32 link_pointer = 0x2800, guest_debugctl = 0x2802, guest_pat = 0x2804, guest_efer = 0x2806,
              guest_perf = 0x2808, guest_pdpte_0 = 0x280a, host_pat = 0x2c00, host_efer = 0x2c02, host_perf = 0x2c04;
constexpr u32 pin = 0x4000, primary = 0x4002, exceptions = 0x4004, fault_mask = 0x4006, fault_match = 0x4008,
              cr3_targets = 0x400a, exit_controls = 0x400c, exit_msr_store_count = 0x400e, exit_msr_load_count = 0x4010,
              entry_controls = 0x4012, entry_msr_load_count = 0x4014, entry_event = 0x4016, entry_error = 0x4018,
              entry_length = 0x401a, tpr_threshold = 0x401c, secondary = 0x401e, pause_gap = 0x4020,
              pause_window = 0x4022;
constexpr u32 instruction_error = 0x4400, exit_reason = 0x4402, exit_event = 0x4404, exit_error = 0x4406,
              vectoring = 0x4408, vectoring_error = 0x440a, instruction_length = 0x440c,
              instruction_information = 0x440e;
constexpr u32 es_limit = 0x4800, cs_limit = 0x4802, ss_limit = 0x4804, ds_limit = 0x4806, ldtr_limit = 0x480c,
              tr_limit = 0x480e, gdtr_limit = 0x4810, idtr_limit = 0x4812, es_rights = 0x4814, cs_rights = 0x4816,
              ss_rights = 0x4818, ds_rights = 0x481a, fs_rights = 0x481c, gs_rights = 0x481e, ldtr_rights = 0x4820,
              tr_rights = 0x4822, interruptibility = 0x4824, activity = 0x4826, guest_sysenter_cs = 0x482a,
              preemption_timer = 0x482e, host_sysenter_cs = 0x4c00;
constexpr u32 cr0_mask = 0x6000, cr4_mask = 0x6002, cr0_shadow = 0x6004, cr4_shadow = 0x6006, cr3_target_0 = 0x6008;
constexpr u32 qualification = 0x6400, io_rcx = 0x6402, io_rsi = 0x6404, io_rdi = 0x6406, io_rip = 0x6408,
              guest_linear = 0x640a;
constexpr u32 guest_cr0 = 0x6800, guest_cr3 = 0x6802, guest_cr4 = 0x6804, es_base = 0x6806, cs_base = 0x6808,
              ss_base = 0x680a, ds_base = 0x680c, fs_base = 0x680e, gs_base = 0x6810, ldtr_base = 0x6812,
              tr_base = 0x6814, gdtr_base = 0x6816, idtr_base = 0x6818, guest_dr7 = 0x681a, guest_rsp = 0x681c,
              guest_rip = 0x681e, guest_rflags = 0x6820, pending_debug = 0x6822, guest_sysenter_esp = 0x6824,
              guest_sysenter_eip = 0x6826;
constexpr u32 host_cr0 = 0x6c00, host_cr3 = 0x6c02, host_cr4 = 0x6c04, host_fs_base = 0x6c06, host_gs_base = 0x6c08,
              host_tr_base = 0x6c0a, host_gdtr_base = 0x6c0c, host_idtr_base = 0x6c0e, host_sysenter_esp = 0x6c10,
              host_sysenter_eip = 0x6c12, host_rsp = 0x6c14, host_rip = 0x6c16;
}  // namespace vmcs

/// Controls: bits of the five words, each unique by its word.
namespace pin_control {
constexpr u32 external = 1, nmi = 8, virtual_nmi = 0x20, timer = 0x40, posted = 0x80;
}
namespace primary_control {
constexpr u32 interrupt_window = 1u << 2, tsc_offset = 1u << 3, hlt = 1u << 7, invlpg = 1u << 9, mwait = 1u << 10,
              rdpmc = 1u << 11, rdtsc = 1u << 12, cr3_load = 1u << 15, cr3_store = 1u << 16, cr8_load = 1u << 19,
              cr8_store = 1u << 20, tpr_shadow = 1u << 21, nmi_window = 1u << 22, mov_dr = 1u << 23, io = 1u << 24,
              io_maps = 1u << 25, trap_flag = 1u << 27, msr_maps = 1u << 28, monitor = 1u << 29, pause = 1u << 30,
              secondary = 1u << 31;
}
namespace secondary_control {
constexpr u32 apic_accesses = 1, ept = 2, tables = 4, rdtscp = 8, x2apic = 0x10, vpid = 0x20, wbinvd = 0x40,
              unrestricted = 0x80, apic_registers = 0x100, interrupt_delivery = 0x200, pause_loop = 0x400,
              rdrand = 0x800, invpcid = 0x1000, vmfunc = 0x2000, shadowing = 0x4000, rdseed = 1u << 16, pml = 1u << 17,
              ve = 1u << 18, xsaves = 1u << 20, tsc_scaling = 1u << 25;
}
namespace exit_control {
constexpr u32 save_debug = 4, host_64 = 0x200, load_perf = 0x1000, acknowledge = 0x8000, save_pat = 1u << 18,
              load_pat = 1u << 19, save_efer = 1u << 20, load_efer = 1u << 21, save_timer = 1u << 22;
}
namespace entry_control {
constexpr u32 load_debug = 4, guest_64 = 0x200, smm = 0x400, dual_monitor = 0x800, load_perf = 0x2000,
              load_pat = 1u << 14, load_efer = 1u << 15;
}

namespace reason {
constexpr u64 exception = 0, external = 1, triple_fault = 2, init = 3, sipi = 4, interrupt_window = 7, nmi_window = 8,
              task_switch = 9, cpuid = 10, getsec = 11, hlt = 12, invd = 13, invlpg = 14, rdpmc = 15, rdtsc = 16,
              rsm = 17, vmcall = 18, vmclear = 19, vmlaunch = 20, vmptrld = 21, vmptrst = 22, vmread = 23,
              vmresume = 24, vmwrite = 25, vmxoff = 26, vmxon = 27, control = 28, debug = 29, io = 30, rdmsr = 31,
              wrmsr = 32, mwait = 36, trap_flag = 37, monitor = 39, pause = 40, tpr = 43, apic_access = 44,
              virtual_eoi = 45, gdtr_idtr = 46, ldtr_tr = 47, ept_violation = 48, ept_misconfiguration = 49,
              invept = 50, rdtscp = 51, timer = 52, invvpid = 53, wbinvd = 54, xsetbv = 55, apic_write = 56,
              rdrand = 57, invpcid = 58, vmfunc = 59, rdseed = 61, pml_full = 62, xsaves = 63, xrstors = 64;
/// With bit 31: the entry failed.
constexpr u64 invalid_state = 0x8000'0021, msr_loading = 0x8000'0022;
}  // namespace reason

/// Interruption information of entries and exits (24.8.3, 24.9.2).
constexpr u64 event_valid = 1u << 31, event_has_code = 1u << 11, event_nmi = 2u << 8, event_exception = 3u << 8,
              event_software = 4u << 8, event_privileged = 5u << 8, event_software_exception = 6u << 8,
              event_other = 7u << 8;

constexpr u32 msr_feature_control = 0x3a, msr_vmx_basic = 0x480, msr_vmx_pin = 0x481, msr_vmx_primary = 0x482,
              msr_vmx_exit = 0x483, msr_vmx_entry = 0x484, msr_vmx_misc = 0x485, msr_cr0_fixed0 = 0x486,
              msr_cr0_fixed1 = 0x487, msr_cr4_fixed0 = 0x488, msr_cr4_fixed1 = 0x489, msr_vmcs_enum = 0x48a,
              msr_vmx_secondary = 0x48b, msr_ept_vpid = 0x48c, msr_true_pin = 0x48d, msr_true_primary = 0x48e,
              msr_true_exit = 0x48f, msr_true_entry = 0x490, msr_vmfunc = 0x491;
constexpr u32 msr_efer = 0xc000'0080, msr_pat = 0x277, msr_fs_base = 0xc000'0100, msr_gs_base = 0xc000'0101,
              msr_kernel_gs_base = 0xc000'0102, msr_lstar = 0xc000'0082, msr_star = 0xc000'0081, msr_debugctl = 0x1d9,
              msr_sysenter_cs = 0x174, msr_sysenter_esp = 0x175, msr_sysenter_eip = 0x176, msr_tsc = 0x10;

}  // namespace guest
