#pragma once

// What a virtualization extension does that takes a processor long: world switches and the instructions about them. The core
// notes them while it is observed (core/engine/observation.h); what each takes is the profile's business
// (core/timing/transition_parameters.h).

#include <array>

#include "core/virt/exit_cause.h"

namespace bunshin {

enum class Transition : u8 {
  Entry,  ///< VMLAUNCH, VMRESUME, VMRUN
  Exit,   ///< the first of ExitKind's
  VmRead = Exit + exit_kinds,
  VmWrite,
  VmPtrld,
  VmClear,
  InvEpt,
  InvVpid,
  InvLpga,
  VmLoad,
  VmSave,
  Stgi,
  Clgi,
  Other,  ///< VMXON, VMXOFF, VMPTRST, VMFUNC, SKINIT
  Count
};
inline constexpr unsigned transitions = static_cast<unsigned>(Transition::Count);

constexpr Transition exit_transition(ExitKind kind) {
  return static_cast<Transition>(static_cast<unsigned>(Transition::Exit) + static_cast<unsigned>(kind));
}
constexpr bool is_exit(Transition t) { return t >= Transition::Exit && t < Transition::VmRead; }

/// How many of each.
struct TransitionCounts {
  std::array<u16, transitions> counts{};
  bool any = false;

  void add(Transition t) {
    ++counts[static_cast<unsigned>(t)];
    any = true;
  }
  u16 operator[](Transition t) const { return counts[static_cast<unsigned>(t)]; }
  bool exits() const {
    for (unsigned k = 0; k < exit_kinds; ++k) {
      if ((*this)[exit_transition(static_cast<ExitKind>(k))] != 0) return true;
    }
    return false;
  }
};

}  // namespace bunshin
