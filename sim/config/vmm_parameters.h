#pragma once

// The group `vmm`: whether the project's own hypervisor stands between the machine and what it boots, and how it works.

#include <functional>
#include <string>
#include <vector>

#include "base/parameters.h"
#include "core/profile.h"
#include "sim/config/compute_cost_parameters.h"

namespace bunshin {

/// One of several guests.
struct VmmGuestParameters {
  std::string name;
  u64 memory = u64{64} << 20;  ///< bytes
  std::string kernel;
  std::vector<std::string> initrd;
  std::string cmdline;
  std::string disk;
  std::string paging = "default";
  u64 limit = 0;  ///< µs of the machine's time; 0: none

  void describe(ParameterVisitor& v);
};

/// Why a guest of the hypervisor cannot have them; "" if it can.
std::string problem_of_initrds(const std::vector<std::string>& entries);
/// Whether guests run in user state on this processor: it has no virtualization extension that the hypervisor can use. `cpu` has
/// been resolved.
bool only_user_state(const CpuProfile& cpu);
/// What the machine lacks for this way of paging, as a sentence without a full stop; "" if nothing.
std::string lacking_for_paging(const std::string& paging, const CpuProfile& cpu, const std::string& scheme);

struct VmmParameters {
  std::string binding = "none";
  std::string image;
  std::string paging = "nested";
  std::string nested_page = "2M";
  u64 slice = 10'000;  ///< µs
  std::string execution = "auto";
  bool scan = true;
  u64 guest_memory = 0;  ///< bytes; 0: what guest_memory_of() says
  ComputeCostTables costs;
  /// Empty: one guest, which is the group `guest`.
  std::vector<VmmGuestParameters> guests;

  void describe(ParameterVisitor& v);
  bool wanted() const { return binding != "none"; }
  /// The one guest's memory in a machine with so much.
  u64 guest_memory_of(u64 machine_memory) const;
  /// What the declarations cannot say. `fail(key, what)`, the key within this group, throws.
  void check(u64 machine_memory,
             const std::function<void(const std::string& key, const std::string& what)>& fail) const;
  /// The same for ways of paging, which need something of the processor and the translation scheme.
  void check_paging(CpuProfile cpu, const std::string& scheme,
                    const std::function<void(const std::string& key, const std::string& what)>& fail) const;
};

}  // namespace bunshin
