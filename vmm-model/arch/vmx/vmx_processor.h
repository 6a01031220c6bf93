#pragma once

// VT-x (SDM vol. 3, ch. 23 to 30): what all guests of one processor share.

#include "vmm-model/arch/vmx/capabilities.h"
#include "vmm-model/arch/vmx/vmx_instructions.h"
#include "vmm-model/execution_back_end.h"

namespace bunshin::vmm::vmx {

class VmxExecution;

class VmxProcessor final : public ExecutionBackEnd {
 public:
  explicit VmxProcessor(VmxInstructions& instructions) : instructions_(instructions) {}

  std::string_view name() const override { return "VT-x"; }
  std::string_view enable(Hardware& hardware, PagePool& pool) override;
  bool nested_paging() const override { return capabilities_.ept; }
  GuestExecution* create_execution(Hardware& hardware, PagePool& pool) override;

  VmxInstructions& instructions() { return instructions_; }
  const Capabilities& capabilities() const { return capabilities_; }
  HostPhysical msr_bitmap() const { return msr_bitmap_; }
  /// VMREAD and VMWRITE reach one VMCS: this.
  void make_current(HostPhysical vmcs);
  /// EFER is left as a guest has it, but for what long mode needs: VM exit does the rest (27.5.1).
  void load_efer(Hardware& hardware, u64 value);
  /// Guests' translations go by their VPID; 0: the processor has none, and forgets at every transition.
  void forget_translations(u16 vpid, u64 eptp);
  void forget_page(u16 vpid, Linear address);
  /// Whose system-call MSRs are in the processor.
  VmxExecution*& occupant() { return occupant_; }

 private:
  u16 new_vpid();

  VmxInstructions& instructions_;
  Capabilities capabilities_;
  HostPhysical msr_bitmap_, current_;
  VmxExecution* occupant_ = nullptr;
  u64 efer_ = 0;
  u16 next_vpid_ = 1;
};

}  // namespace bunshin::vmm::vmx
