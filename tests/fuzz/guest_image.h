#pragma once

// A guest made of a fuzzer's bytes: one of the processor's modes with tables that are right for it, then changed here
// and there by the input, and code that is the input's own.

#include "core/processor.h"
#include "tests/fuzz/input.h"

namespace bunshin::fuzz {

enum class GuestMode : u8 { Real, Protected16, Protected32, Paging32, Pae, Virtual8086, Compatibility, Long, LongUser };
inline constexpr unsigned guest_modes = 9;

/// How the machine is to be built, which must be known before the guest can be put into it.
struct GuestShape {
  GuestMode mode = GuestMode::Real;
  unsigned cores = 1;
};
GuestShape read_shape(Input& input);

/// Puts the guest into memory and the processors at its entries.
void build_guest(Input& input, const GuestShape& shape, PhysicalMemory& memory, const std::vector<Processor*>& cores);

}  // namespace bunshin::fuzz
