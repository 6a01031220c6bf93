#include "core/virt/vmx/fields.h"

#include <algorithm>
#include <array>

#include "base/address.h"

namespace bunshin::vmx {
namespace {

// clang-format off
constexpr FieldRow rows[] = {
    {Field::VirtualProcessorId, Feature::Vpid}, {Field::PostedInterruptVector, Feature::PostedInterrupts},
    {Field::EptpIndex, Feature::EptViolationVe},
    {Field::GuestEs}, {Field::GuestCs}, {Field::GuestSs}, {Field::GuestDs}, {Field::GuestFs}, {Field::GuestGs},
    {Field::GuestLdtr}, {Field::GuestTr}, {Field::GuestInterruptStatus, Feature::VirtualInterruptDelivery},
    {Field::PmlIndex, Feature::Pml},
    {Field::HostEs}, {Field::HostCs}, {Field::HostSs}, {Field::HostDs}, {Field::HostFs}, {Field::HostGs},
    {Field::HostTr},
    {Field::IoBitmapA}, {Field::IoBitmapB}, {Field::MsrBitmaps}, {Field::ExitMsrStoreAddress},
    {Field::ExitMsrLoadAddress}, {Field::EntryMsrLoadAddress}, {Field::ExecutiveVmcsPointer},
    {Field::PmlAddress, Feature::Pml}, {Field::TscOffset}, {Field::VirtualApicAddress, Feature::Vtpr},
    {Field::ApicAccessAddress, Feature::VirtualApicAccess},
    {Field::PostedInterruptDescriptor, Feature::PostedInterrupts}, {Field::VmFunctionControls, Feature::Vmfunc},
    {Field::EptPointer, Feature::Ept}, {Field::EoiExitBitmap0, Feature::VirtualInterruptDelivery},
    {Field::EoiExitBitmap1, Feature::VirtualInterruptDelivery},
    {Field::EoiExitBitmap2, Feature::VirtualInterruptDelivery},
    {Field::EoiExitBitmap3, Feature::VirtualInterruptDelivery}, {Field::EptpListAddress, Feature::Vmfunc},
    {Field::VmreadBitmap, Feature::ShadowVmcs}, {Field::VmwriteBitmap, Feature::ShadowVmcs},
    {Field::VirtualizationExceptionInformation, Feature::EptViolationVe},
    {Field::TscMultiplier, Feature::TscScaling},
    {Field::GuestPhysicalAddress, Feature::Ept},
    {Field::VmcsLinkPointer}, {Field::GuestDebugctl}, {Field::GuestPat, Feature::VmxLoadPat},
    {Field::GuestEfer, Feature::VmxLoadEfer}, {Field::GuestPdpte0, Feature::Ept}, {Field::GuestPdpte1, Feature::Ept},
    {Field::GuestPdpte2, Feature::Ept}, {Field::GuestPdpte3, Feature::Ept},
    {Field::HostPat, Feature::VmxLoadPat}, {Field::HostEfer, Feature::VmxLoadEfer},
    {Field::PinControls}, {Field::PrimaryControls}, {Field::ExceptionBitmap}, {Field::PageFaultMask},
    {Field::PageFaultMatch}, {Field::Cr3TargetCount}, {Field::ExitControls}, {Field::ExitMsrStoreCount},
    {Field::ExitMsrLoadCount}, {Field::EntryControls}, {Field::EntryMsrLoadCount}, {Field::EntryInterruption},
    {Field::EntryErrorCode}, {Field::EntryInstructionLength}, {Field::TprThreshold, Feature::Vtpr},
    {Field::SecondaryControls, Feature::VmxSecondary}, {Field::PleGap, Feature::Ple},
    {Field::PleWindow, Feature::Ple},
    {Field::InstructionError}, {Field::ExitReason}, {Field::ExitInterruption}, {Field::ExitErrorCode},
    {Field::IdtVectoring}, {Field::IdtVectoringErrorCode}, {Field::ExitInstructionLength},
    {Field::ExitInstructionInformation},
    {Field::GuestEsLimit}, {Field::GuestCsLimit}, {Field::GuestSsLimit}, {Field::GuestDsLimit},
    {Field::GuestFsLimit}, {Field::GuestGsLimit}, {Field::GuestLdtrLimit}, {Field::GuestTrLimit},
    {Field::GuestGdtrLimit}, {Field::GuestIdtrLimit}, {Field::GuestEsRights}, {Field::GuestCsRights},
    {Field::GuestSsRights}, {Field::GuestDsRights}, {Field::GuestFsRights}, {Field::GuestGsRights},
    {Field::GuestLdtrRights}, {Field::GuestTrRights}, {Field::GuestInterruptibility}, {Field::GuestActivity},
    {Field::GuestSmbase}, {Field::GuestSysenterCs}, {Field::PreemptionTimerValue, Feature::PreemptionTimer},
    {Field::HostSysenterCs},
    {Field::Cr0Mask}, {Field::Cr4Mask}, {Field::Cr0Shadow}, {Field::Cr4Shadow}, {Field::Cr3Target0},
    {Field::Cr3Target1}, {Field::Cr3Target2}, {Field::Cr3Target3},
    {Field::ExitQualification}, {Field::IoRcx}, {Field::IoRsi}, {Field::IoRdi}, {Field::IoRip},
    {Field::GuestLinearAddress},
    {Field::GuestCr0}, {Field::GuestCr3}, {Field::GuestCr4}, {Field::GuestEsBase}, {Field::GuestCsBase},
    {Field::GuestSsBase}, {Field::GuestDsBase}, {Field::GuestFsBase}, {Field::GuestGsBase}, {Field::GuestLdtrBase},
    {Field::GuestTrBase}, {Field::GuestGdtrBase}, {Field::GuestIdtrBase}, {Field::GuestDr7}, {Field::GuestRsp},
    {Field::GuestRip}, {Field::GuestRflags}, {Field::GuestPendingDebug}, {Field::GuestSysenterEsp},
    {Field::GuestSysenterEip},
    {Field::HostCr0}, {Field::HostCr3}, {Field::HostCr4}, {Field::HostFsBase}, {Field::HostGsBase},
    {Field::HostTrBase}, {Field::HostGdtrBase}, {Field::HostIdtrBase}, {Field::HostSysenterEsp},
    {Field::HostSysenterEip}, {Field::HostRsp}, {Field::HostRip},
};
// clang-format on

static_assert(std::ranges::is_sorted(rows, {}, &FieldRow::field));

constexpr unsigned index_of(Field f) { return static_cast<unsigned>(f) >> 1 & 0x1f; }
/// Width, kind and index, packed: what an array of all fields is indexed by.
constexpr unsigned slot_of(Field f) {
  return static_cast<unsigned>(width_of(f)) << 7 | static_cast<unsigned>(kind_of(f)) << 5 | index_of(f);
}
constexpr unsigned slots = 512;

struct Slot {
  u16 offset = 0;  ///< 0: there is no such field
  Feature feature = Feature::Vmx;
};

/// Fields lie in the order of their encodings, each aligned to its size.
constexpr std::array<Slot, slots> layout = [] {
  std::array<Slot, slots> table;
  unsigned at = fields_offset;
  for (const FieldRow& row : rows) {
    const unsigned size = bytes_of(row.field);
    at = (at + size - 1) / size * size;
    table[slot_of(row.field)] = {static_cast<u16>(at), row.feature};
    at += size;
  }
  return table;
}();
static_assert(layout[slot_of(Field::HostRip)].offset + 8u <= page_size);

}  // namespace

std::span<const FieldRow> field_rows() { return rows; }

unsigned offset_of(Field f) { return layout[slot_of(f)].offset; }

bool decode_field(const CpuProfile& profile, u64 encoding, FieldOperand& out) {
  constexpr u64 named = 0x6fff;
  if ((encoding & ~named) != 0 || (encoding >> 1 & 0x1ff) > 0x1f) return false;
  const bool high = (encoding & 1) != 0;
  const auto field = static_cast<Field>(encoding & ~u64{1});
  const Slot& slot = layout[slot_of(field)];
  if (slot.offset == 0 || !profile.has(slot.feature)) return false;
  if (high && width_of(field) != FieldWidth::Bits64) return false;
  out = {field, high};
  return true;
}

unsigned highest_field_index(const CpuProfile& profile) {
  unsigned highest = 0;
  for (const FieldRow& row : rows) {
    if (profile.has(row.feature)) highest = std::max(highest, index_of(row.field));
  }
  return highest;
}

}  // namespace bunshin::vmx
