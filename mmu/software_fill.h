#pragma once

// The registers by which a hypervisor fills the TLB for its guests, where software fills it (docs/translation_schemes.md). A
// guest whose CR3 names the fill root has no tables: what its TLB lacks is a page fault, which the hypervisor intercepts, and
// answers with an entry. Decided in docs/decisions/0012-guest-fills.md.

#include <array>

#include "base/state_hash.h"
#include "mmu/access.h"
#include "mmu/software_fill_registers.h"
#include "mmu/walker.h"

namespace bunshin {

class SoftwareFill {
 public:
  bool read(u32 msr, u64& value) const;
  /// Entries are of the guest that missed last.
  bool write(u32 msr, u64 value);

  /// This guest's misses are its hypervisor's.
  bool concerns(const PagingContext& context) const {
    return root_ != 0 && context.guest_tag != 0 && (context.root & entry_address_bits) == root_;
  }
  /// One of the last entries, which are kept so that an instruction comes to its end however few its pages find room in the
  /// TLB; else a page fault.
  WalkResult miss(Linear address, const Access& access, const PagingContext& context);
  void flush() { entries_ = {}; }

  const u64& fills() const { return fills_; }
  const u64& faults() const { return faults_; }
  void hash(StateHash& hash) const;

 private:
  struct Entry {
    u64 linear = 0;
    u32 guest = 0;  ///< 0: none
    Translation translation;
  };
  void fill(u64 entry, unsigned shift);

  u64 root_ = 0;
  u64 address_ = 0;
  u32 guest_ = 0;
  /// A task switch touches the most pages of all instructions: not more than this.
  std::array<Entry, 32> entries_{};
  unsigned next_ = 0;
  u64 fills_ = 0, faults_ = 0;
};

}  // namespace bunshin
