#pragma once

// Where the cycles went: the stack whose sum is the core's time.

#include <array>
#include <numeric>
#include <string_view>

#include "base/types.h"

namespace bunshin {

enum class CycleCause : u8 {
  Base,       ///< issue, dependencies, execution
  Branch,     ///< the front end came from a mispredicted branch
  Frontend,   ///< fetch: instruction cache and its misses, redirects
  FetchWalk,  ///< translation of fetches
  L1,         ///< loads that hit the first level, where something waited for them
  L2,
  L3,
  Remote,
  Dram,
  Uncached,
  Tlb,    ///< translations found in the second-level TLB
  Walk1,  ///< page walks: the guest's own tables
  Walk2,  ///< … the second stage's
  Serialize,
  Event,      ///< delivery of exceptions and interrupts
  VmEntry,    ///< from a hypervisor to its guest
  VmExit,     ///< … and back
  VmControl,  ///< the other instructions of a virtualization extension: VMREAD, VMWRITE, VMLOAD …
  Hosted,     ///< a hypervisor that is part of the simulator: its references and its computing (vmm-model/hosted)
  Device,     ///< devices on the bus, PAUSE, and the cycle that a fault takes beside its delivery
  Halted,     ///< HLT and MWAIT
  Count
};
inline constexpr unsigned cycle_causes = static_cast<unsigned>(CycleCause::Count);
inline constexpr std::array<std::string_view, cycle_causes> cycle_cause_names{
    "base",   "branch",   "frontend", "fetch_walk", "l1",        "l2",        "l3",
    "remote", "dram",     "uncached", "tlb",        "walk_dim1", "walk_dim2", "serialize",
    "event",  "vm_entry", "vm_exit",  "vm_control", "hosted",    "device",    "halted"};

struct CycleAccount {
  std::array<u64, cycle_causes> cycles{};
  u64& operator[](CycleCause cause) { return cycles[static_cast<unsigned>(cause)]; }
  u64 total() const { return std::accumulate(cycles.begin(), cycles.end(), u64{0}); }
  u64 operator[](CycleCause cause) const { return cycles[static_cast<unsigned>(cause)]; }
};

}  // namespace bunshin
