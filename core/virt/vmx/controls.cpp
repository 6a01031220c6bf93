#include "core/virt/vmx/controls.h"

namespace bunshin::vmx {
namespace {

void read_register_controls(const Vmcs& vmcs, Controls& c) {
  c.exception_bitmap = vmcs.read32(Field::ExceptionBitmap);
  c.page_fault_mask = vmcs.read32(Field::PageFaultMask);
  c.page_fault_match = vmcs.read32(Field::PageFaultMatch);
  c.cr0_mask = vmcs.read(Field::Cr0Mask);
  c.cr0_shadow = vmcs.read(Field::Cr0Shadow);
  c.cr4_mask = vmcs.read(Field::Cr4Mask);
  c.cr4_shadow = vmcs.read(Field::Cr4Shadow);
  c.cr3_target_count = vmcs.read32(Field::Cr3TargetCount);
  for (unsigned i = 0; i < 4 && i < c.cr3_target_count; ++i) c.cr3_targets[i] = vmcs.read(Field::Cr3Target0 + i);
}

void read_secondary_controls(const Vmcs& vmcs, Controls& c) {
  if (c.also(secondary::apic_accesses)) c.apic_access = vmcs.read(Field::ApicAccessAddress);
  if (c.also(secondary::ept)) c.ept_pointer = vmcs.read(Field::EptPointer);
  if (c.also(secondary::vpid)) c.vpid = static_cast<u16>(vmcs.read(Field::VirtualProcessorId));
  if (c.also(secondary::interrupt_delivery)) {
    for (unsigned i = 0; i < 4; ++i) c.eoi_exit_bitmap[i] = vmcs.read(Field::EoiExitBitmap0 + i);
  }
  if (c.also(secondary::pause_loop)) {
    c.ple_gap = vmcs.read32(Field::PleGap);
    c.ple_window = vmcs.read32(Field::PleWindow);
  }
  if (c.also(secondary::vm_functions)) {
    c.vm_functions = vmcs.read(Field::VmFunctionControls);
    if ((c.vm_functions & 1) != 0) c.eptp_list = vmcs.read(Field::EptpListAddress);
  }
  if (c.also(secondary::shadow_vmcs)) {
    c.vmread_bitmap = vmcs.read(Field::VmreadBitmap);
    c.vmwrite_bitmap = vmcs.read(Field::VmwriteBitmap);
  }
  if (c.also(secondary::pml)) c.pml_address = vmcs.read(Field::PmlAddress);
  if (c.also(secondary::virtualization_exception))
    c.ve_information = vmcs.read(Field::VirtualizationExceptionInformation);
  if (c.also(secondary::tsc_scaling)) c.tsc_multiplier = vmcs.read(Field::TscMultiplier);
}

}  // namespace

Controls read_controls(const Vmcs& vmcs) {
  Controls c;
  c.pin = vmcs.read32(Field::PinControls);
  c.primary = vmcs.read32(Field::PrimaryControls);
  if (c.has(primary::secondary)) c.secondary = vmcs.read32(Field::SecondaryControls);
  c.exit = vmcs.read32(Field::ExitControls);
  c.entry = vmcs.read32(Field::EntryControls);
  read_register_controls(vmcs, c);
  if (c.has(primary::io_bitmaps)) {
    c.io_bitmap_a = vmcs.read(Field::IoBitmapA);
    c.io_bitmap_b = vmcs.read(Field::IoBitmapB);
  }
  if (c.has(primary::msr_bitmaps)) c.msr_bitmaps = vmcs.read(Field::MsrBitmaps);
  if (c.has(primary::tsc_offsetting)) c.tsc_offset = vmcs.read(Field::TscOffset);
  if (c.has(primary::tpr_shadow)) {
    c.virtual_apic = vmcs.read(Field::VirtualApicAddress);
    c.tpr_threshold = vmcs.read32(Field::TprThreshold);
  }
  if (c.has_pin(pin::posted_interrupts)) {
    c.posted_vector = static_cast<u16>(vmcs.read(Field::PostedInterruptVector));
    c.posted_descriptor = vmcs.read(Field::PostedInterruptDescriptor);
  }
  read_secondary_controls(vmcs, c);
  return c;
}

}  // namespace bunshin::vmx
