#pragma once

// How an instruction asks whether its guest's hypervisor wants it. Where in the instruction's own order of checks that happens is
// the manual's business (SDM vol. 3, 25.1.1; APM vol. 2, 15.7): behind #UD and the checks of privilege, before memory is accessed.
//
//   if (intercepted(cpu, r, Intercept::Hlt)) return false;

#include "core/cpu.h"
#include "core/virt/virtualization.h"

namespace bunshin {

/// True: an exit has been raised, and the instruction must not happen.
[[nodiscard]] inline bool intercepted(Cpu& cpu, const Record& r, Intercept what, u64 detail = 0) {
  return cpu.guest != nullptr && cpu.guest->intercepts(r, what, detail);
}

/// #UD where the hypervisor has not enabled the instruction for its guest.
[[nodiscard]] inline bool enabled_in_guest(Cpu& cpu, Intercept what) {
  return cpu.guest == nullptr || cpu.guest->has(what) || cpu.raise(Vector::UD);
}

}  // namespace bunshin
