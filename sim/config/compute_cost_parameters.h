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

struct ComputeCostParameters {
  u64 start = 0;      ///< cycles
  u64 entry = 0;      ///< cycles
  u64 reference = 0;  ///< thousandths of a cycle
  u64 line = 0;       ///< thousandths of a cycle
  std::vector<std::string> exits;

  void describe(ParameterVisitor& v);
  /// Throws std::runtime_error that says what an item of `exits` lacks.
  vmm::ComputeCosts costs() const;
};

struct ComputeCostTables {
  std::array<ComputeCostParameters, timing_mode_names.size()> modes;

  void describe(ParameterVisitor& v);
  /// `fail(key, what)`, the key within this group, throws.
  void check(const std::function<void(const std::string& key, const std::string& what)>& fail) const;
};

}  // namespace bunshin
