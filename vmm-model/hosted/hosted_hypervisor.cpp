#include "vmm-model/hosted/hosted_hypervisor.h"

#include "vmm-model/machine/identity_map.h"

namespace bunshin::vmm {

void HostedHypervisor::run(std::span<const Range> memory, std::span<const BootModule> modules) {
  constexpr u64 own_end = HostedWorld::base + HostedWorld::bytes, four_gib = u64{1} << 32;
  for (const Range& range : memory) {
    pool_.add(std::max(range.begin, own_end), std::min(range.end, four_gib));
  }
  hardware_.start(pool_);
  for (const Range& range : memory) {
    add_high_memory(hardware_, pool_, HostedWorld::page_tables(), range.begin, range.end);
  }
  hypervisor_.serve(modules);
}

}  // namespace bunshin::vmm
