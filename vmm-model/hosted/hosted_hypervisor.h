#pragma once

// The hypervisor as a part of the simulator.

#include "vmm-model/arch/svm/svm_execution.h"
#include "vmm-model/arch/vmx/vmx_processor.h"
#include "vmm-model/hosted/hosted_vmx.h"
#include "vmm-model/hypervisor.h"

namespace bunshin::vmm {

class HostedHypervisor {
 public:
  /// A range of the machine's RAM.
  struct Range {
    u64 begin = 0, end = 0;
  };

  explicit HostedHypervisor(HostedMachine& machine) : hardware_(machine) {}

  /// From the moment at which a boot loader would hand over, until the machine is switched off: then the machine's
  /// run_to_mark() throws. `memory` is all RAM that nobody else uses; module 0 is the configuration.
  void run(std::span<const Range> memory, std::span<const BootModule> modules);
  /// The core has executed a mark. True if it must stop behind it.
  bool marked(u16 code) { return hardware_.marked(code); }
  const ComputeCounters& counters() const { return hardware_.counters(); }

 private:
  HostedHardware hardware_;
  PagePool pool_{hardware_};
  HostedVmx vmx_instructions_{hardware_};
  svm::SvmProcessor svm_;
  vmx::VmxProcessor vmx_{vmx_instructions_};
  std::array<ExecutionBackEnd*, 2> back_ends_{&svm_, &vmx_};
  Hypervisor hypervisor_{hardware_, pool_, back_ends_};
};

}  // namespace bunshin::vmm
