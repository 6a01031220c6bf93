#pragma once

// The I/O and MSR permission maps (AMD APM vol. 2, 15.10.1 and 15.11): where the bits of an access lie, and EXITINFO1 of an
// I/O instruction.

#include <optional>

#include "core/record.h"
#include "core/virt/virtualization.h"

namespace bunshin::svm {

inline constexpr u64 io_map_bytes = 0x3000, msr_map_bytes = 0x2000;

/// Bits of a map that an access must find clear: within the 16 bits at `byte`.
struct MapBits {
  u64 byte = 0;
  u16 mask = 0;
};

/// One bit a port; an access of several bytes needs all of its ports' bits clear, those behind FFFFH too.
MapBits io_map_bits(u16 port, unsigned bytes);

/// Two bits an MSR, of three ranges of 2000H. Empty: the MSR lies in none, and every access to it is intercepted.
std::optional<MapBits> msr_map_bits(u32 index, bool write);

/// 15.10.2, figure 15-2. Decode assists add a string's segment.
u64 io_exit_info(const Record& r, const IoDetail& access, bool decode_assists);

}  // namespace bunshin::svm
