#pragma once

// A second opinion on EPT, written from SDM vol. 3, 29.3.2 and 29.3.3 as plainly as the manual. Shares nothing with
// mmu/second_stage but the types of the question.

#include <vector>

#include "mmu/second_stage.h"

namespace bunshin {

struct EptAnswer {
  bool misconfigured = false;
  bool violation = false;
  u64 qualification = 0;
  u64 physical = 0;
  u64 page_bytes = 0;
  struct Entry {
    u64 address = 0;
    u64 after = 0;
  };
  std::vector<Entry> entries;  ///< every entry used and its value afterwards
};

/// Translates `guest_physical` for an access that is not to a guest paging structure.
inline EptAnswer ept_reference(const PhysicalMemory& memory, const SecondStageContext& c, u64 guest_physical,
                               AccessKind kind) {
  EptAnswer answer;
  const auto bit = [](u64 value, unsigned n) { return (value >> n & 1) != 0; };
  bool readable = true;
  bool writable = true;
  bool executable = true;
  const auto violation = [&] {
    answer.violation = true;
    answer.qualification = (kind == AccessKind::Read    ? 1u
                            : kind == AccessKind::Write ? 2u
                                                        : 4u) |
                           (readable ? 8u : 0u) | (writable ? 16u : 0u) | (executable ? 32u : 0u) | 0x180u;
    return answer;
  };
  std::vector<unsigned> shifts = {39, 30, 21, 12};
  if (c.mode == PagingMode::Ept5Level) shifts.insert(shifts.begin(), 48);
  u64 table = c.root & 0x000f'ffff'ffff'f000;
  for (const unsigned shift : shifts) {
    const u64 where = table + (guest_physical >> shift & 0x1ff) * 8;
    u64 value = ~u64{0};
    memory.read(HostPhysical(where), std::span(reinterpret_cast<u8*>(&value), 8));
    if (!bit(value, 0) && !bit(value, 1) && !bit(value, 2)) {
      readable = writable = executable = false;
      return violation();
    }
    const bool supports_large = (shift == 21 && c.large_pages) || (shift == 30 && c.gigabyte_pages);
    const bool maps_page = shift == 12 || (supports_large && bit(value, 7));
    bool bad = bit(value, 1) && !bit(value, 0);
    if (bit(value, 2) && !bit(value, 0) && !bit(value, 1) && !c.execute_only) bad = true;
    for (unsigned n = c.physical_bits; n < 52; ++n) bad = bad || bit(value, n);
    if (maps_page) {
      const u64 type = value >> 3 & 7;
      bad = bad || type == 2 || type == 3 || type == 7;
      for (unsigned n = 12; n < shift; ++n) bad = bad || bit(value, n);
    } else {
      for (unsigned n = 3; n <= 7; ++n) bad = bad || bit(value, n);
    }
    answer.entries.push_back({where, value});
    if (bad) {
      answer.misconfigured = true;
      return answer;
    }
    readable = readable && bit(value, 0);
    writable = writable && bit(value, 1);
    executable = executable && bit(value, 2);
    if (maps_page) {
      answer.page_bytes = u64{1} << shift;
      answer.physical =
          (value & 0x000f'ffff'ffff'f000 & ~(answer.page_bytes - 1)) | (guest_physical & (answer.page_bytes - 1));
      break;
    }
    table = value & 0x000f'ffff'ffff'f000;
  }
  const bool allowed = kind == AccessKind::Read ? readable : kind == AccessKind::Write ? writable : executable;
  if (!allowed) return violation();
  if (c.accessed_dirty) {
    for (EptAnswer::Entry& e : answer.entries) e.after |= 0x100;
    if (kind == AccessKind::Write) answer.entries.back().after |= 0x200;
  }
  return answer;
}

}  // namespace bunshin
