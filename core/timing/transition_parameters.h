#pragma once

// What world switches and the instructions of a virtualization extension take, beside the references to memory that they
// make. Published figures differ in what they trigger the switch with and do not add up: entry, exits by cause, VMREAD and
// VMWRITE stand each for itself.

#include "base/parameters.h"
#include "core/virt/transition.h"

namespace bunshin {

struct TransitionParameters {
  u64 entry = 500;                     ///< of both vendors
  u64 state_save = 0, state_load = 0;  ///< VMRUN: the host's is saved and the guest's loaded, #VMEXIT: the other way
  std::array<u64, exit_kinds> exit;    ///< by ExitKind
  u64 vmread = 30, vmwrite = 30, vmptrld = 100, vmclear = 100, invept = 100, invvpid = 100;
  u64 vmload = 100, vmsave = 100, stgi = 30, clgi = 30, invlpga = 100;
  u64 other = 200;

  TransitionParameters() { exit.fill(500); }
  void describe(ParameterVisitor& v);
  u64 cycles(Transition t) const;
  /// Of all of them.
  u64 cycles(const TransitionCounts& work) const;
};

}  // namespace bunshin
