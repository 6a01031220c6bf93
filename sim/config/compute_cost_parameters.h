#pragma once

// The group `vmm.costs`: what the computing of a hosted hypervisor takes, for each timing.

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/parameters.h"
#include "sim/timing_mode.h"
#include "vmm-model/hosted/compute_costs.h"

namespace bunshin {

/// One timing's: items "WHAT=CYCLES" or "PAGING.WHAT=CYCLES". Throws std::runtime_error that names one that cannot be.
vmm::ComputeCosts parse_compute_costs(const std::vector<std::string>& items);

struct ComputeCostTables {
  std::array<std::vector<std::string>, timing_mode_names.size()> items;  ///< by TimingMode

  void describe(ParameterVisitor& v);
  /// `fail(key, what)`, the key within this group, throws.
  void check(const std::function<void(const std::string& key, const std::string& what)>& fail) const;
};

}  // namespace bunshin
