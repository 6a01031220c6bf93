#pragma once

// The instructions of VMX, on the machine itself.

#include "vmm-model/arch/vmx/vmx_instructions.h"

namespace bunshin::vmm::bare {

class BareVmx final : public vmx::VmxInstructions {
 public:
  vmx::Status turn_on(HostPhysical region) override;
  vmx::Status clear(HostPhysical vmcs) override;
  vmx::Status load(HostPhysical vmcs) override;
  u64 read(vmx::Field field) override;
  void write(vmx::Field field, u64 value) override;
  void invalidate_ept(vmx::Scope scope, u64 eptp) override;
  void invalidate_vpid(vmx::Scope scope, u16 vpid, Linear address) override;
  void write_host_state() override;
  vmx::Status enter(bool launched, GeneralRegisters& registers, u64& cr2) override;
};

}  // namespace bunshin::vmm::bare
