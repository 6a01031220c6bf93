#pragma once

// The instructions of VMX, executed by the modeled core.

#include "vmm-model/arch/vmx/vmx_instructions.h"
#include "vmm-model/hosted/hosted_hardware.h"

namespace bunshin::vmm {

class HostedVmx final : public vmx::VmxInstructions {
 public:
  explicit HostedVmx(HostedHardware& hardware) : hardware_(hardware) {}

  vmx::Status turn_on(HostPhysical region) override;
  vmx::Status clear(HostPhysical vmcs) override { return on_region(Routine::VmClear, vmcs); }
  vmx::Status load(HostPhysical vmcs) override { return on_region(Routine::VmPtrLd, vmcs); }
  u64 read(vmx::Field field) override;
  void write(vmx::Field field, u64 value) override;
  void invalidate_ept(vmx::Scope scope, u64 eptp) override { invalidate(Routine::InvEpt, scope, eptp, 0); }
  void invalidate_vpid(vmx::Scope scope, u16 vpid, Linear address) override {
    invalidate(Routine::InvVpid, scope, vpid, address.value);
  }
  void write_host_state() override;
  vmx::Status enter(bool launched, GeneralRegisters& registers, u64& cr2) override;

 private:
  u64& gpr(Gpr name) { return hardware_.world().gpr(name); }
  /// Of an instruction that takes a pointer to the region's address.
  vmx::Status on_region(Routine routine, HostPhysical region);
  void invalidate(Routine routine, vmx::Scope scope, u64 first, u64 second);

  HostedHardware& hardware_;
};

}  // namespace bunshin::vmm
