#pragma once

// What firmware leaves in memory for operating systems: ACPI tables (ACPI 6.4, ch. 5.2) and, for kernels without ACPI,
// the MultiProcessor table (Intel MP specification 1.4, ch. 4).

#include <vector>

#include "base/types.h"

namespace bunshin {

struct FirmwareConfig {
  unsigned cores = 1;  ///< local APIC ids 0..cores-1, the first is the bootstrap processor
  bool hpet = true;
  u64 ecam_base = 0;  ///< 256 buses from here
  u8 io_apic_id = 0;
  u32 cpu_signature = 0;  ///< CPUID.1:EAX and EDX, for the MP table
  u32 cpu_features = 0;
  bool mp_table = true;
};

/// One block of memory: the E and F segments, where operating systems look for the roots of both.
struct FirmwareTables {
  static constexpr u64 base = 0xe'0000;
  static constexpr u64 facs = base + 64;
  static constexpr u64 mp_pointer = 0xf'0000;
  static constexpr u64 rsdp = 0xf'8000;  ///< in the F segment: not everybody looks in the E segment
  std::vector<u8> bytes;                 ///< to be placed at `base`
};

/// Throws std::runtime_error if `cores` is not 1..16.
FirmwareTables build_firmware_tables(const FirmwareConfig& config);

}  // namespace bunshin
