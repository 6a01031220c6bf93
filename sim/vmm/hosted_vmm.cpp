#include "sim/vmm/hosted_vmm.h"

#include "vmm-model/exit_table.h"

namespace bunshin {

HostedVmm::HostedVmm(const MachineConfig& config, CoreLoop& loop, Processor& processor, const BootMemory& memory,
                     const TimingMode& mode)
    : loop_(loop), processor_(processor), mode_(mode), files_(HypervisorBoot(config).files()), hypervisor_(*this) {
  if (!processor.cpu().profile.has(Feature::Lm)) {
    throw ConfigError("vmm.binding: `hosted` is 64-bit code, and this processor has no 64-bit mode: use `bare`");
  }
  if (config.vmm.execution == "deprivileged") {
    throw ConfigError("vmm.execution: `hosted` has no guests in user state: use `auto`, or `bare` for vmm.binding");
  }
  for (std::size_t i = 0; i < costs_.size(); ++i) costs_[i] = parse_compute_costs(config.vmm.costs.items[i]);
  for (const MapEntry& entry : memory.map()) {
    if (entry.type == MapEntry::usable) memory_.push_back({entry.base, entry.base + entry.size});
  }
}

void HostedVmm::run() {
  std::vector<std::string> names;
  for (const ImageFile& file : files_.modules) names.push_back(base_name(file.name()));
  std::vector<vmm::BootModule> modules;
  for (std::size_t i = 0; i < names.size(); ++i) modules.push_back({names[i], files_.modules[i].bytes()});
  hypervisor_.run(memory_, modules);
}

void HostedVmm::add_to(std::map<std::string, StatValue>& stats) const {
  const auto add = [&stats](std::string_view name, const vmm::ComputeCounters::Work& work) {
    if (work.times == 0) return;
    const std::string prefix = "vmm.hosted." + std::string(name) + ".";
    stats[prefix + "times"] = {work.times, "", "times that the hosted hypervisor's computing was charged to it"};
    stats[prefix + "references"] = {work.references, "references",
                                    "words that the hypervisor loaded and stored for it"};
    stats[prefix + "fields"] = {work.fields, "", "fields of control blocks that it read and wrote for it"};
    stats[prefix + "lines"] = {work.lines, "lines", "of 64 bytes that the hypervisor copied or cleared for it"};
    for (unsigned i = 0; i < vmm::work_kinds; ++i) {
      stats[prefix + std::string(vmm::work_names[i]) + "s"] = {work.work[i], "", "as `vmm.costs` has them"};
    }
  };
  const vmm::ComputeCounters& counters = hypervisor_.counters();
  add("start", counters.start);
  add("entry", counters.entry);
  add("switch", counters.world_switch);
  for (unsigned i = 0; i < vmm::exit_reasons; ++i) {
    add("exits." + std::string(vmm::exit_row(static_cast<vmm::ExitReason>(i)).name), counters.exit[i]);
  }
}

}  // namespace bunshin
