#pragma once

// The hypervisor inside the simulator (vmm-model/hosted), bound to a machine's first core and to the loop that runs it.

#include <array>
#include <map>
#include <vector>

#include "base/stats.h"
#include "sim/config/machine_config.h"
#include "sim/core_loop.h"
#include "sim/loader/boot_memory.h"
#include "sim/vmm/hypervisor_boot.h"
#include "vmm-model/hosted/hosted_hypervisor.h"

namespace bunshin {

class HostedVmm final : public HostProgram, private vmm::HostedMachine {
 public:
  /// `memory`: the machine's map. `mode` is the timing at any moment. Both loop and core must outlive it.
  HostedVmm(const MachineConfig& config, CoreLoop& loop, Processor& processor, const BootMemory& memory,
            const TimingMode& mode);

  // HostProgram
  void run() override;
  bool marked(u16 code) override { return hypervisor_.marked(code); }

  /// Adds what a table of costs is made from: `vmm.hosted.WHERE.times`, and what work was counted there.
  void add_to(std::map<std::string, StatValue>& stats) const;

 private:
  // HostedMachine
  Processor& processor() override { return processor_; }
  void run_to_mark() override { loop_.run_to_mark(); }
  void pass(u64 cycles) override { loop_.pass(processor_.hosted_work(cycles)); }
  const vmm::ComputeCosts& costs() const override { return costs_[static_cast<unsigned>(mode_)]; }

  CoreLoop& loop_;
  Processor& processor_;
  const TimingMode& mode_;
  std::array<vmm::ComputeCosts, timing_mode_names.size()> costs_;
  GuestFiles files_;
  std::vector<vmm::HostedHypervisor::Range> memory_;
  vmm::HostedHypervisor hypervisor_;
};

}  // namespace bunshin
