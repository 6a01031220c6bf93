#pragma once

// The second opinion on a guest's tables: 32-bit, PAE and 4-level paging as a manual reads them aloud (SDM vol. 3, 4.3 to 4.7),
// on memory that the test holds apart, so that accessed and dirty bits are set as a processor without a TLB sets them.

#include <array>
#include <optional>
#include <vector>

#include "base/types.h"

namespace bunshin::vmm {

enum class TableFormat : u8 { TwoLevel, Pae, FourLevel };

struct GuestControls {
  TableFormat format = TableFormat::FourLevel;
  bool write_protect = true, no_execute = true, smep = false, smap = false, alignment_check = false;
};

struct GuestReach {
  u64 linear = 0;
  bool write = false, by_user = false, execute = false;
};

/// What a guest's access comes to: a physical address, or the error code of a page fault.
struct GuestOutcome {
  std::optional<u64> address;
  u32 error = 0;
  bool operator==(const GuestOutcome&) const = default;
};

class GuestTablesReference {
 public:
  explicit GuestTablesReference(u64 bytes) : memory(bytes) {}

  GuestOutcome access(u64 cr3, const GuestControls& c, const GuestReach& a);
  u64 load(u64 address, unsigned bytes) const;
  void store(u64 address, unsigned bytes, u64 value);

  /// PAE's four entries live in the processor from one load of CR3 to the next.
  void load_root(u64 cr3);

  std::vector<u8> memory;

 private:
  std::array<u64, 4> root_{};
};

}  // namespace bunshin::vmm
