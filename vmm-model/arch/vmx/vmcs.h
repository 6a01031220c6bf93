#pragma once

// The virtual-machine control structure as a hypervisor writes it: fields by encoding (SDM vol. 3, appendix B), bits of
// controls (24.6 to 24.8), formats of exit information (27.2).

#include "base/types.h"

namespace bunshin::vmm::vmx {

/// Encoding: index 9:1, kind 11:10, width 14:13 (table 24-21).
enum class Field : u16 {
  VirtualProcessorId = 0x0000,
  GuestEs = 0x0800,  // then CS, SS, DS, FS, GS, LDTR, TR
  GuestLdtr = 0x080c,
  GuestTr = 0x080e,
  HostEs = 0x0c00,
  HostCs = 0x0c02,
  HostSs = 0x0c04,
  HostDs = 0x0c06,
  HostFs = 0x0c08,
  HostGs = 0x0c0a,
  HostTr = 0x0c0c,
  MsrBitmaps = 0x2004,
  VirtualApic = 0x2012,
  EptPointer = 0x201a,
  GuestPhysicalAddress = 0x2400,
  LinkPointer = 0x2800,
  GuestDebugControl = 0x2802,
  GuestPat = 0x2804,
  GuestPdpte0 = 0x280a,
  HostPat = 0x2c00,
  PinControls = 0x4000,
  PrimaryControls = 0x4002,
  ExceptionBitmap = 0x4004,
  PageFaultMask = 0x4006,
  PageFaultMatch = 0x4008,
  Cr3TargetCount = 0x400a,
  ExitControls = 0x400c,
  ExitMsrStoreCount = 0x400e,
  ExitMsrLoadCount = 0x4010,
  EntryControls = 0x4012,
  EntryMsrLoadCount = 0x4014,
  EntryInterruption = 0x4016,
  EntryErrorCode = 0x4018,
  EntryInstructionLength = 0x401a,
  TprThreshold = 0x401c,
  SecondaryControls = 0x401e,
  InstructionError = 0x4400,
  ExitReason = 0x4402,
  ExitInterruption = 0x4404,
  ExitErrorCode = 0x4406,
  IdtVectoring = 0x4408,
  IdtVectoringErrorCode = 0x440a,
  ExitInstructionLength = 0x440c,
  GuestEsLimit = 0x4800,
  GuestGdtrLimit = 0x4810,
  GuestIdtrLimit = 0x4812,
  GuestEsRights = 0x4814,
  GuestSsRights = 0x4818,
  GuestInterruptibility = 0x4824,
  GuestActivity = 0x4826,
  GuestSysenterCs = 0x482a,
  HostSysenterCs = 0x4c00,
  Cr0Mask = 0x6000,
  Cr4Mask = 0x6002,
  Cr0Shadow = 0x6004,
  Cr4Shadow = 0x6006,
  ExitQualification = 0x6400,
  GuestLinearAddress = 0x640a,
  GuestCr0 = 0x6800,
  GuestCr3 = 0x6802,
  GuestCr4 = 0x6804,
  GuestEsBase = 0x6806,
  GuestGdtrBase = 0x6816,
  GuestIdtrBase = 0x6818,
  GuestDr7 = 0x681a,
  GuestRsp = 0x681c,
  GuestRip = 0x681e,
  GuestRflags = 0x6820,
  GuestPendingDebug = 0x6822,
  GuestSysenterEsp = 0x6824,
  GuestSysenterEip = 0x6826,
  HostCr0 = 0x6c00,
  HostCr3 = 0x6c02,
  HostCr4 = 0x6c04,
  HostFsBase = 0x6c06,
  HostGsBase = 0x6c08,
  HostTrBase = 0x6c0a,
  HostGdtrBase = 0x6c0c,
  HostIdtrBase = 0x6c0e,
  HostSysenterEsp = 0x6c10,
  HostSysenterEip = 0x6c12,
  HostRsp = 0x6c14,
  HostRip = 0x6c16,
};

/// The i-th of fields that follow each other.
constexpr Field operator+(Field f, unsigned i) { return static_cast<Field>(static_cast<unsigned>(f) + 2 * i); }

/// Capability MSRs (appendix A).
namespace vmx_msr {
inline constexpr u32 feature_control = 0x3a, basic = 0x480, pin = 0x481, primary = 0x482, exit = 0x483, entry = 0x484,
                     cr0_fixed0 = 0x486, cr0_fixed1 = 0x487, cr4_fixed0 = 0x488, cr4_fixed1 = 0x489, secondary = 0x48b,
                     ept_vpid = 0x48c, true_pin = 0x48d, true_primary = 0x48e, true_exit = 0x48f, true_entry = 0x490;
}

namespace pin {
inline constexpr u32 external_interrupt = 1 << 0, nmi = 1 << 3;
}
namespace primary {
inline constexpr u32 interrupt_window = 1 << 2, hlt = 1 << 7, invlpg = 1 << 9, mwait = 1 << 10, rdpmc = 1 << 11,
                     cr3_load = 1 << 15, cr3_store = 1 << 16, cr8_load = 1 << 19, cr8_store = 1 << 20,
                     tpr_shadow = 1 << 21, unconditional_io = 1 << 24, msr_bitmaps = 1 << 28, monitor = 1 << 29,
                     secondary = u32{1} << 31;
}
namespace secondary {
inline constexpr u32 ept = 1 << 1, rdtscp = 1 << 3, vpid = 1 << 5, wbinvd = 1 << 6, unrestricted_guest = 1 << 7;
}
namespace exit_control {
inline constexpr u32 save_debug = 1 << 2, host_address_space = 1 << 9, save_pat = 1 << 18, load_pat = 1 << 19;
}
namespace entry_control {
inline constexpr u32 load_debug = 1 << 2, ia32e_guest = 1 << 9, load_pat = 1 << 14;
}

/// IA32_VMX_EPT_VPID_CAP (A.10).
namespace ept_vpid {
inline constexpr u64 four_levels = 1 << 6, write_back = 1 << 14, large_pages = 1 << 16, gigabyte_pages = 1 << 17,
                     invept = 1 << 20, invept_single = 1 << 25, invept_all = 1 << 26, invvpid = u64{1} << 32,
                     invvpid_address = u64{1} << 40, invvpid_single = u64{1} << 41, invvpid_all = u64{1} << 42;
}

/// EPTP (24.6.11): tables are cached write-back, and four levels deep.
namespace eptp {
inline constexpr u64 write_back = 6, four_levels = 3 << 3;
}

/// Access rights (24.4.1): those of a descriptor but with a hole at 11:8, and bit 16.
namespace rights {
inline constexpr u32 dpl_shift = 5, P = 1 << 7, unusable = 1 << 16;
}

/// 24.4.2.
namespace interruptibility {
inline constexpr u32 sti = 1, mov_ss = 2, nmi = 8;
}

/// The three interruption-information fields (24.8.3, 24.9.2, 24.9.3).
namespace interruption {
inline constexpr u32 external = 0, nmi = 2, hardware = 3, software = 4, privileged_software = 5, software_exception = 6;
inline constexpr u32 type_shift = 8, error_code = 1 << 11, nmi_unblocking = 1 << 12, valid = u32{1} << 31;
}  // namespace interruption

/// Basic exit reasons (appendix C).
namespace reason {
inline constexpr u32 exception_or_nmi = 0, external_interrupt = 1, triple_fault = 2, init = 3, interrupt_window = 7,
                     task_switch = 9, cpuid = 10, getsec = 11, hlt = 12, invd = 13, invlpg = 14, rdpmc = 15,
                     vmcall = 18, vmclear = 19, vmxon = 27, control_register = 28, io = 30, rdmsr = 31, wrmsr = 32,
                     mwait = 36, monitor = 39, tpr_below_threshold = 43, ept_violation = 48, ept_misconfiguration = 49,
                     invept = 50, invvpid = 53, wbinvd = 54, xsetbv = 55, vmfunc = 59;
inline constexpr u32 entry_failure = u32{1} << 31;
}  // namespace reason

}  // namespace bunshin::vmm::vmx
