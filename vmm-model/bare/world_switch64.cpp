// The world switches that 64-bit code makes, with the processor's virtualization extension.

#include "vmm-model/bare/bare_hardware.h"

extern "C" void svm_switch(bunshin::u64 vmcb, bunshin::u64 host_state, bunshin::u64* registers);

namespace bunshin::vmm::bare {

void BareHardware::run_vmcb(HostPhysical vmcb, HostPhysical host_state, GeneralRegisters& registers) {
  svm_switch(vmcb.value, host_state.value, registers.gpr.data());
}

void BareHardware::invalidate_guest_page(Linear address, u32 asid) {
  asm volatile("invlpga" : : "a"(address.value), "c"(asid) : "memory");
}

// For the 32-bit image.
bool BareHardware::switch_pages(std::array<HostPhysical, switch_area::shared_pages>&) { return false; }
void BareHardware::run_user_state(const UserSpace&) {}
u32 BareHardware::fault_address() { return 0; }

}  // namespace bunshin::vmm::bare
