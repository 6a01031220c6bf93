#pragma once

// The small numbers by which the MMU tells guests apart (PagingContext::guest_tag): one for each pair of an address-space
// identifier and the root of a second stage, handed out as they are used and taken back from whoever was used least recently.

#include <array>

#include "mmu/mmu.h"

namespace bunshin {

class GuestTags {
 public:
  /// No second stage.
  static constexpr u64 no_root = ~u64{0};

  explicit GuestTags(Mmu& mmu) : mmu_(mmu) {}

  /// The tag of the pair, to be made the current one: never 0, which is the hypervisor's.
  u32 use(u16 identifier, u64 root);
  /// Flushes every tag for which `concerns(identifier, root)`.
  template <class Concerns, class Flush>
  void flush_if(Concerns concerns, Flush flush) {
    for (u32 i = 0; i < slots_.size(); ++i) {
      const Slot& s = slots_[i];
      if (s.last_use != 0 && concerns(s.identifier, s.root)) flush(i + 1);
    }
  }
  /// To be called when the current tag is left.
  void note_flushes();
  void reset();

 private:
  struct Slot {
    u16 identifier = 0;
    u64 root = no_root;
    u64 last_use = 0;    ///< 0: free
    bool stale = false;  ///< a sibling has been told to forget
  };
  static constexpr unsigned count = 64;

  Mmu& mmu_;
  u64 flushes_ = 0;  ///< that guests had made when the current tag was taken
  std::array<Slot, count> slots_{};
  u64 clock_ = 0;
  u32 current_ = 0;
};

}  // namespace bunshin
