#include "vmm-model/arch/deprivileged/deprivileged_processor.h"

#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

namespace bunshin::vmm::deprivileged {

std::string_view DeprivilegedProcessor::enable(Hardware& hardware, PagePool& /*pool*/) {
  constexpr u32 pae = 1 << 6, sep = 1 << 11, syscall = 1 << 11;
  const u32 features = hardware.cpuid(1, 0).edx;
  if ((features & pae) == 0) return "it has no PAE (CPUID.1:EDX)";
  if (!hardware.switch_pages(shared_)) return "the hypervisor is not the 32-bit image, or has no memory left";
  // What programs call the kernel by faults, and is performed: SYSENTER without a segment, SYSCALL where it is off.
  if ((features & sep) != 0) hardware.write_msr(msr::sysenter_cs, 0);
  const bool extended = hardware.cpuid(0x8000'0000, 0).eax >= 0x8000'0001;
  if (extended && (hardware.cpuid(0x8000'0001, 0).edx & syscall) != 0) {
    hardware.write_msr(msr::efer, hardware.read_msr(msr::efer) & ~efer::SCE);
  }
  return {};
}

GuestExecution* DeprivilegedProcessor::create_execution(Hardware& hardware, PagePool& pool) {
  auto* execution = create_object<DeprivilegedExecution>(hardware, hardware, pool);
  return execution != nullptr && execution->start(shared_) ? execution : nullptr;
}

}  // namespace bunshin::vmm::deprivileged
