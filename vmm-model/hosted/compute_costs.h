#pragma once

// What a hosted hypervisor's own computing takes: the instructions between its references to memory and its architectural
// operations, which the modeled machine does not execute. tools/vmm_calibrate.py measures these numbers.

#include <array>

#include "vmm-model/config.h"
#include "vmm-model/exit.h"

namespace bunshin::vmm {

/// In thousandths of a cycle of the modeled core.
struct ComputeCosts {
  u64 reference = 0;  ///< for each load and store of a word
  u64 line = 0;       ///< for each 64 bytes of a block that is copied or cleared

  /// For a guest that is paged so: handlers and their bookkeeping differ.
  struct Mode {
    u64 start = 0;                         ///< from the boot loader to guests_ready()
    u64 entry = 0;                         ///< around a world switch: what Guest::run() and the back end do for each
    std::array<u64, exit_reasons> exit{};  ///< handlers
  };
  std::array<Mode, paging_choices> modes{};
};

/// What was done of that kind.
struct ComputeCounters {
  struct Work {
    u64 times = 0, references = 0, lines = 0;
  };
  Work start, entry;
  std::array<Work, exit_reasons> exit{};
};

}  // namespace bunshin::vmm
