#pragma once

// VMX: numbers of MSRs, controls and VMCS fields (Intel SDM vol. 3, appendices A and B).

#include "guests/runtime/processor.h"

namespace guest::vmx {

constexpr u32 msr_feature_control = 0x3a, msr_basic = 0x480, msr_pin = 0x481, msr_processor = 0x482, msr_exit = 0x483,
              msr_entry = 0x484, msr_cr0_fixed = 0x486, msr_cr4_fixed = 0x488, msr_secondary = 0x48b;

enum Field : u32 {
  GuestEsSelector = 0x800,  // … CS, SS, DS, FS, GS, LDTR, TR, two apart
  HostEsSelector = 0xc00,   // … CS, SS, DS, FS, GS, TR
  EptPointer = 0x201a,
  LinkPointer = 0x2800,
  GuestDebugControl = 0x2802,
  PinControls = 0x4000,
  ProcessorControls = 0x4002,
  ExceptionBitmap = 0x4004,
  PageFaultMask = 0x4006,
  PageFaultMatch = 0x4008,
  Cr3Targets = 0x400a,
  ExitControls = 0x400c,
  ExitStoreCount = 0x400e,
  ExitLoadCount = 0x4010,
  EntryControls = 0x4012,
  EntryLoadCount = 0x4014,
  EntryEvent = 0x4016,
  SecondaryControls = 0x401e,
  InstructionError = 0x4400,
  ExitReason = 0x4402,
  GuestEsLimit = 0x4800,  // … CS, SS, DS, FS, GS, LDTR, TR
  GuestGdtrLimit = 0x4810,
  GuestIdtrLimit = 0x4812,
  GuestEsRights = 0x4814,  // … CS, SS, DS, FS, GS, LDTR, TR
  GuestInterruptibility = 0x4824,
  GuestActivity = 0x4826,
  GuestSysenterCs = 0x482a,
  HostSysenterCs = 0x4c00,
  Cr0Mask = 0x6000,
  Cr4Mask = 0x6002,
  ExitQualification = 0x6400,
  GuestCr0 = 0x6800,
  GuestCr3 = 0x6802,
  GuestCr4 = 0x6804,
  GuestEsBase = 0x6806,  // … CS, SS, DS, FS, GS, LDTR, TR
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
};

constexpr u32 hlt_exiting = 1u << 7, cr3_load_exiting = 1u << 15, unconditional_io_exiting = 1u << 24,
              use_msr_bitmaps = 1u << 28, activate_secondary = 1u << 31, enable_ept = 1u << 1, ia32e_guest = 1u << 9,
              ia32e_host = 1u << 9;

}  // namespace guest::vmx
