#pragma once

// What a hosted hypervisor's own computing takes: the instructions between its references to memory and its architectural
// operations, which the modeled machine does not execute. tools/vmm_calibrate.py measures these numbers.

#include <array>

#include "vmm-model/config.h"
#include "vmm-model/hardware.h"

namespace bunshin::vmm {

/// In the order of Work.
inline constexpr std::array<std::string_view, work_kinds> work_names{"instruction", "element"};

/// In thousandths of a cycle of the modeled core.
struct ComputeCosts {
  u64 reference = 0;                   ///< for each load and store of a word
  u64 field = 0;                       ///< for each field of a VMCS or VMCB read or written
  u64 line = 0;                        ///< for each 64 bytes of a block that is copied or cleared
  std::array<u64, work_kinds> work{};  ///< for each of what Hardware::worked() tells

  /// For a guest that is paged so: handlers and their bookkeeping differ.
  struct Mode {
    u64 start = 0;                         ///< from the boot loader to guests_ready()
    u64 entry = 0;                         ///< from a handler's end to the next world switch
    u64 world_switch = 0;                  ///< what the back end does in one
    std::array<u64, exit_reasons> exit{};  ///< handlers
  };
  std::array<Mode, paging_choices> modes{};
};

/// What was done of that kind.
struct ComputeCounters {
  struct Work {
    u64 times = 0, references = 0, fields = 0, lines = 0;
    std::array<u64, work_kinds> work{};
  };
  Work start, entry, world_switch;
  std::array<Work, exit_reasons> exit{};
};

}  // namespace bunshin::vmm
