#include "vmm-model/arch/svm/svm_execution.h"

namespace bunshin::vmm::svm {

namespace {

constexpr u32 svm_leaf = 0x8000'000a, svm_feature = 1 << 2, nested_paging_feature = 1 << 0,
              flush_by_asid_feature = 1 << 6, gigabyte_pages_feature = 1 << 26;
constexpr u64 vm_cr_disabled = 1 << 4;
constexpr u64 msr_map_bytes = 0x2000, io_map_bytes = 0x3000;

}  // namespace

std::string_view SvmProcessor::enable(Hardware& hardware, PagePool& pool) {
  if (hardware.cpuid(0x8000'0000, 0).eax < svm_leaf || (hardware.cpuid(0x8000'0001, 0).ecx & svm_feature) == 0) {
    return "it has none (CPUID 80000001H:ECX.SVM)";
  }
  if ((hardware.read_msr(msr::vm_cr) & vm_cr_disabled) != 0) return "disabled by firmware (VM_CR.SVMDIS)";
  const CpuidResult features = hardware.cpuid(svm_leaf, 0);
  asids_ = features.ebx;
  nested_paging_ = (features.edx & nested_paging_feature) != 0;
  gigabyte_pages_ = (hardware.cpuid(0x8000'0001, 0).edx & gigabyte_pages_feature) != 0;
  flushes_by_asid_ = (features.edx & flush_by_asid_feature) != 0;
  const HostPhysical hardware_save = pool.allocate();
  host_state_ = pool.allocate();
  msr_permissions_ = pool.allocate_block(msr_map_bytes, page_size);
  io_permissions_ = pool.allocate_block(io_map_bytes, page_size);
  if (hardware_save.value == 0 || host_state_.value == 0 || msr_permissions_.value == 0 || io_permissions_.value == 0) {
    return "no memory for the processor's own pages";
  }
  for (u64 i = 0; i < msr_map_bytes; i += 8) hardware.store(msr_permissions_ + i, 8, ~u64{0});
  for (u64 i = 0; i < io_map_bytes; i += 8) hardware.store(io_permissions_ + i, 8, ~u64{0});
  // What VMLOAD and VMSAVE switch is the guest's own (15.5.2); the time-stamp counter it may read.
  for (const u32 number : {msr::star, msr::lstar, msr::cstar, msr::sfmask, msr::fs_base, msr::gs_base,
                           msr::kernel_gs_base, msr::sysenter_cs, msr::sysenter_esp, msr::sysenter_eip}) {
    permit_msr(hardware, number, true);
  }
  permit_msr(hardware, msr::tsc, false);
  hardware.write_msr(msr::efer, hardware.read_msr(msr::efer) | efer::SVME);
  hardware.write_msr(msr::vm_hsave_pa, hardware_save.value);
  return {};
}

GuestExecution* SvmProcessor::create_execution(Hardware& hardware, PagePool& pool) {
  const HostPhysical vmcb = pool.allocate();
  return vmcb.value == 0 ? nullptr : create_object<SvmExecution>(hardware, hardware, *this, vmcb);
}

// 15.11: three ranges of 2 KiB, two bits an MSR, read and write.
void SvmProcessor::permit_msr(Hardware& hardware, u32 number, bool write) const {
  const u64 range = number < 0x2000 ? 0 : number < 0xc001'0000 ? 0x800 : 0x1000;
  const u64 bit = (number & 0x1fff) * 2;
  const HostPhysical at = msr_permissions_ + range + bit / 8;
  const u64 mask = (write ? u64{3} : u64{1}) << (bit % 8);
  hardware.store(at, 1, hardware.load(at, 1) & ~mask);
}

// Identifier 0 is the host's (15.16).
bool SvmProcessor::renew(GuestTag& tag) {
  const bool all_used = next_asid_ >= asids_;
  if (all_used) {
    ++generation_;
    next_asid_ = 1;
  }
  tag = {next_asid_++, generation_};
  return all_used;
}

}  // namespace bunshin::vmm::svm
