#pragma once

// The instructions of VMX (SDM vol. 3, ch. 30), for what the binding makes of them.

#include "base/address.h"
#include "vmm-model/arch/vmx/vmcs.h"
#include "vmm-model/registers.h"

namespace bunshin::vmm::vmx {

/// How VMX instructions end (30.2).
enum class Status : u8 {
  Succeed,
  FailInvalid,  ///< there is no current VMCS to tell more
  FailValid     ///< Field::InstructionError says why
};

/// What INVEPT and INVVPID are to forget (30.3); the numbers are the instructions'.
enum class Scope : u8 { Address = 0, Single = 1, All = 2 };

class VmxInstructions {
 public:
  /// Sets the bits that VMX operation needs of CR0 and CR4 (23.8), then VMXON. The region holds its revision.
  virtual Status turn_on(HostPhysical region) = 0;
  virtual Status clear(HostPhysical vmcs) = 0;
  virtual Status load(HostPhysical vmcs) = 0;
  // Of the current VMCS. A field that the processor lacks reads as 0.
  virtual u64 read(Field field) = 0;
  virtual void write(Field field, u64 value) = 0;
  virtual void invalidate_ept(Scope scope, u64 eptp) = 0;
  virtual void invalidate_vpid(Scope scope, u16 vpid, Linear address) = 0;
  /// The host-state area of the current VMCS: where and how the hypervisor goes on after an exit (24.5).
  virtual void write_host_state() = 0;
  /// The world switch: VMLAUNCH, or VMRESUME for a VMCS that has been launched, and back. `cr2` is the guest's.
  virtual Status enter(bool launched, GeneralRegisters& registers, u64& cr2) = 0;

 protected:
  ~VmxInstructions() = default;
};

}  // namespace bunshin::vmm::vmx
