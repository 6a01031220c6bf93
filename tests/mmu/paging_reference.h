#pragma once

// A second opinion on translation, written from SDM vol. 3, 4.3-4.8 one mode at a time, as plainly as the manual.
// Deliberately shares nothing with mmu/walker but the types of the question.

#include <vector>

#include "mmu/access.h"
#include "mmu/memory/physical_memory.h"

namespace bunshin {

struct ReferenceUpdate {
  u64 address = 0;
  u64 entry = 0;
};

struct ReferenceAnswer {
  bool fault = false;
  u32 error_code = 0;
  u64 physical = 0;
  u64 page_bytes = 0;
  bool global = false;
  unsigned pat_index = 0;
  /// Every entry used and its value afterwards.
  std::vector<ReferenceUpdate> entries;
};

class PagingReference {
 public:
  PagingReference(const PhysicalMemory& memory, const PagingContext& context) : memory_(memory), c_(context) {}

  ReferenceAnswer translate(u64 linear, const Access& access);

 private:
  struct Entry {
    u64 address = 0;
    u64 value = 0;
  };

  u64 read(u64 address, unsigned bytes) const;
  bool bit(u64 value, unsigned n) const { return (value >> n & 1) != 0; }
  bool any(u64 value, unsigned high, unsigned low) const;
  /// Each returns true when `used_` ends with the entry that maps the page, false when `answer_` holds the fault.
  bool walk_32bit(u64 linear);
  bool walk_pae(u64 linear);
  bool walk_long(u64 linear);
  bool missing();
  bool reserved();
  /// Low bits that every 8-byte entry must have clear, whatever it is.
  bool bad_long_entry(u64 value) const;
  bool bad_pae_entry(u64 value) const;
  bool in_every_entry(unsigned n) const;
  bool in_some_entry(unsigned n) const;
  bool access_allowed(const Access& access, bool& key_violation) const;
  bool has_execute_disable() const { return c_.no_execute && c_.mode != PagingMode::TwoLevel; }

  const PhysicalMemory& memory_;
  const PagingContext& c_;
  std::vector<Entry> used_;
  ReferenceAnswer answer_;
  u32 code_ = 0;  ///< W, U and I/D of the access
};

}  // namespace bunshin
