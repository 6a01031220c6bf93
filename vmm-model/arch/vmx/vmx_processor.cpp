#include "vmm-model/arch/vmx/vmx_processor.h"

#include <initializer_list>

#include "vmm-model/arch/vmx/vmx_execution.h"

namespace bunshin::vmm::vmx {

namespace {

/// 24.6.9: reads of low and high MSRs, then writes of them; a set bit intercepts.
void permit_msr(Hardware& hardware, HostPhysical bitmap, u32 number, bool write) {
  constexpr u64 quarter = 0x400;
  const HostPhysical at = bitmap + (number >= 0xc000'0000 ? quarter : 0) + (number & 0x1fff) / 8;
  const u64 bit = u64{1} << (number % 8);
  for (const HostPhysical place : {at, at + 2 * quarter}) {
    hardware.store(place, 1, hardware.load(place, 1) & ~bit);
    if (!write) break;
  }
}

}  // namespace

std::string_view VmxProcessor::enable(Hardware& hardware, PagePool& pool) {
  if (const std::string_view problem = read_capabilities(hardware, capabilities_); !problem.empty()) return problem;
  const HostPhysical region = pool.allocate();
  msr_bitmap_ = pool.allocate();
  if (region.value == 0 || msr_bitmap_.value == 0) return "no memory for the processor's own pages";
  for (u64 i = 0; i < page_size; i += 8) hardware.store(msr_bitmap_ + i, 8, ~u64{0});
  // What the VMCS or the processor keeps for one guest is its own; the time-stamp counter it may read.
  for (const u32 number : {msr::star, msr::lstar, msr::cstar, msr::sfmask, msr::fs_base, msr::gs_base,
                           msr::kernel_gs_base, msr::sysenter_cs, msr::sysenter_esp, msr::sysenter_eip}) {
    permit_msr(hardware, msr_bitmap_, number, true);
  }
  permit_msr(hardware, msr_bitmap_, msr::tsc, false);
  hardware.store(region, 4, capabilities_.revision);
  efer_ = hardware.read_msr(msr::efer);
  return instructions_.turn_on(region) == Status::Succeed ? std::string_view{} : "VMXON fails";
}

GuestExecution* VmxProcessor::create_execution(Hardware& hardware, PagePool& pool) {
  VmxPages pages;
  pages.vmcs = pool.allocate();
  pages.virtual_apic = pool.allocate();
  if (pages.vmcs.value == 0 || pages.virtual_apic.value == 0) return nullptr;
  if (capabilities_.ept && !capabilities_.unrestricted_guest) {
    for (HostPhysical& page : pages.identity) {
      page = pool.allocate();
      if (page.value == 0) return nullptr;
    }
  }
  hardware.store(pages.vmcs, 4, capabilities_.revision);
  if (instructions_.clear(pages.vmcs) != Status::Succeed) return nullptr;
  return create_object<VmxExecution>(hardware, hardware, *this, pages, new_vpid());
}

void VmxProcessor::make_current(HostPhysical vmcs) {
  if (vmcs == current_) return;
  instructions_.load(vmcs);
  current_ = vmcs;
}

void VmxProcessor::load_efer(Hardware& hardware, u64 value) {
  value |= efer::LME | efer::LMA;
  if (value == efer_) return;
  hardware.write_msr(msr::efer, value);
  efer_ = value;
}

void VmxProcessor::forget_translations(u16 vpid, u64 eptp) {
  const Capabilities& c = capabilities_;
  if (eptp != 0) instructions_.invalidate_ept(c.can(ept_vpid::invept_single) ? Scope::Single : Scope::All, eptp);
  if (vpid == 0) return;
  instructions_.invalidate_vpid(c.can(ept_vpid::invvpid_single) ? Scope::Single : Scope::All, vpid, Linear(0));
}

void VmxProcessor::forget_page(u16 vpid, Linear address) {
  if (vpid == 0) return;
  if (!capabilities_.can(ept_vpid::invvpid_address)) return forget_translations(vpid, 0);
  instructions_.invalidate_vpid(Scope::Address, vpid, address);
}

u16 VmxProcessor::new_vpid() { return capabilities_.vpid ? next_vpid_++ : u16{0}; }

}  // namespace bunshin::vmm::vmx
