#pragma once

// The fields of a VMCS (SDM vol. 3, appendix B and ch. 24): encodings, widths, kinds, and where they lie in the simulator's own
// layout of a VMCS region, which software must not know (24.11.4).

#include <span>
#include <string_view>

#include "core/profile.h"

namespace bunshin::vmx {

enum class Field : u16 {
  // 16-bit control, guest-state and host-state fields.
  VirtualProcessorId = 0x0000,
  PostedInterruptVector = 0x0002,
  EptpIndex = 0x0004,
  GuestEs = 0x0800,
  GuestCs = 0x0802,
  GuestSs = 0x0804,
  GuestDs = 0x0806,
  GuestFs = 0x0808,
  GuestGs = 0x080a,
  GuestLdtr = 0x080c,
  GuestTr = 0x080e,
  GuestInterruptStatus = 0x0810,
  PmlIndex = 0x0812,
  HostEs = 0x0c00,
  HostCs = 0x0c02,
  HostSs = 0x0c04,
  HostDs = 0x0c06,
  HostFs = 0x0c08,
  HostGs = 0x0c0a,
  HostTr = 0x0c0c,
  // 64-bit ones.
  IoBitmapA = 0x2000,
  IoBitmapB = 0x2002,
  MsrBitmaps = 0x2004,
  ExitMsrStoreAddress = 0x2006,
  ExitMsrLoadAddress = 0x2008,
  EntryMsrLoadAddress = 0x200a,
  ExecutiveVmcsPointer = 0x200c,
  PmlAddress = 0x200e,
  TscOffset = 0x2010,
  VirtualApicAddress = 0x2012,
  ApicAccessAddress = 0x2014,
  PostedInterruptDescriptor = 0x2016,
  VmFunctionControls = 0x2018,
  EptPointer = 0x201a,
  EoiExitBitmap0 = 0x201c,
  EoiExitBitmap1 = 0x201e,
  EoiExitBitmap2 = 0x2020,
  EoiExitBitmap3 = 0x2022,
  EptpListAddress = 0x2024,
  VmreadBitmap = 0x2026,
  VmwriteBitmap = 0x2028,
  VirtualizationExceptionInformation = 0x202a,
  TscMultiplier = 0x2032,
  GuestPhysicalAddress = 0x2400,
  VmcsLinkPointer = 0x2800,
  GuestDebugctl = 0x2802,
  GuestPat = 0x2804,
  GuestEfer = 0x2806,
  GuestPdpte0 = 0x280a,
  GuestPdpte1 = 0x280c,
  GuestPdpte2 = 0x280e,
  GuestPdpte3 = 0x2810,
  HostPat = 0x2c00,
  HostEfer = 0x2c02,
  // 32-bit ones.
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
  PleGap = 0x4020,
  PleWindow = 0x4022,
  InstructionError = 0x4400,
  ExitReason = 0x4402,
  ExitInterruption = 0x4404,
  ExitErrorCode = 0x4406,
  IdtVectoring = 0x4408,
  IdtVectoringErrorCode = 0x440a,
  ExitInstructionLength = 0x440c,
  ExitInstructionInformation = 0x440e,
  GuestEsLimit = 0x4800,
  GuestCsLimit = 0x4802,
  GuestSsLimit = 0x4804,
  GuestDsLimit = 0x4806,
  GuestFsLimit = 0x4808,
  GuestGsLimit = 0x480a,
  GuestLdtrLimit = 0x480c,
  GuestTrLimit = 0x480e,
  GuestGdtrLimit = 0x4810,
  GuestIdtrLimit = 0x4812,
  GuestEsRights = 0x4814,
  GuestCsRights = 0x4816,
  GuestSsRights = 0x4818,
  GuestDsRights = 0x481a,
  GuestFsRights = 0x481c,
  GuestGsRights = 0x481e,
  GuestLdtrRights = 0x4820,
  GuestTrRights = 0x4822,
  GuestInterruptibility = 0x4824,
  GuestActivity = 0x4826,
  GuestSmbase = 0x4828,
  GuestSysenterCs = 0x482a,
  PreemptionTimerValue = 0x482e,
  HostSysenterCs = 0x4c00,
  // Natural-width ones.
  Cr0Mask = 0x6000,
  Cr4Mask = 0x6002,
  Cr0Shadow = 0x6004,
  Cr4Shadow = 0x6006,
  Cr3Target0 = 0x6008,
  Cr3Target1 = 0x600a,
  Cr3Target2 = 0x600c,
  Cr3Target3 = 0x600e,
  ExitQualification = 0x6400,
  IoRcx = 0x6402,
  IoRsi = 0x6404,
  IoRdi = 0x6406,
  IoRip = 0x6408,
  GuestLinearAddress = 0x640a,
  GuestCr0 = 0x6800,
  GuestCr3 = 0x6802,
  GuestCr4 = 0x6804,
  GuestEsBase = 0x6806,
  GuestCsBase = 0x6808,
  GuestSsBase = 0x680a,
  GuestDsBase = 0x680c,
  GuestFsBase = 0x680e,
  GuestGsBase = 0x6810,
  GuestLdtrBase = 0x6812,
  GuestTrBase = 0x6814,
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

/// The i-th field of several that follow each other.
constexpr Field operator+(Field f, unsigned i) { return static_cast<Field>(static_cast<unsigned>(f) + 2 * i); }

enum class FieldWidth : u8 { Bits16, Bits64, Bits32, Natural };
enum class FieldKind : u8 { Control, ReadOnly, Guest, Host };

/// SDM vol. 3, table 24-21.
constexpr FieldWidth width_of(Field f) { return static_cast<FieldWidth>(static_cast<unsigned>(f) >> 13 & 3); }
constexpr FieldKind kind_of(Field f) { return static_cast<FieldKind>(static_cast<unsigned>(f) >> 10 & 3); }
/// Bytes that the field takes in the region.
constexpr unsigned bytes_of(Field f) {
  switch (width_of(f)) {
    case FieldWidth::Bits16: return 2;
    case FieldWidth::Bits32: return 4;
    default: return 8;
  }
}

struct FieldRow {
  Field field;
  /// Without it the processor does not have the field.
  Feature feature = Feature::Vmx;
};
/// All fields there are, by encoding.
std::span<const FieldRow> field_rows();

/// Where the field lies in its region, in bytes.
unsigned offset_of(Field f);

/// What an operand of VMREAD or VMWRITE names.
struct FieldOperand {
  Field field;
  bool high = false;  ///< the upper half of a 64-bit field
};
/// False: no field of this profile has the encoding.
bool decode_field(const CpuProfile& profile, u64 encoding, FieldOperand& out);
/// The highest index of an encoding, for IA32_VMX_VMCS_ENUM (A.9).
unsigned highest_field_index(const CpuProfile& profile);

/// The fixed parts of a region (24.2), and what the simulator keeps before the fields.
inline constexpr unsigned revision_offset = 0, abort_offset = 4, launch_state_offset = 8, fields_offset = 16;
inline constexpr u32 shadow_indicator = u32{1} << 31;
enum class LaunchState : u32 { Clear = 0, Launched = 1 };

}  // namespace bunshin::vmx
