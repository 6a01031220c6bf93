#pragma once

// What a hosted hypervisor asks of the simulator around it: that the core it runs on may run, and that time may pass.

#include "core/processor.h"
#include "vmm-model/hosted/compute_costs.h"

namespace bunshin::vmm {

class HostedMachine {
 public:
  /// The core that the hypervisor runs on.
  virtual Processor& processor() = 0;
  /// Lets the core run until it has stopped behind a mark of hosted code (HostedWorld::marked). If the run ends before, this
  /// does not return but throws, and the hypervisor is given up.
  virtual void run_to_mark() = 0;
  /// The core's next so many cycles pass without it executing anything: they are the hypervisor's own computing.
  virtual void pass(u64 cycles) = 0;
  /// Of this machine, as it is timed now.
  virtual const ComputeCosts& costs() const = 0;

 protected:
  ~HostedMachine() = default;
};

}  // namespace bunshin::vmm
