#pragma once

// Lines of a first-level data cache that may be accessed without asking anyone: each is the latest used of its set, so that
// a hit changes nothing in the cache, its page is in the first-level TLB, and the present privilege may do it. What
// zsim calls a filter cache (Sanchez and Kozyrakis, ISCA 2013, 3.1). A timed core's handlers look here first.

#include <array>
#include <cstdint>

#include "base/address.h"
#include "mmu/memory/request_kind.h"

namespace bunshin {

class LineFilter {
 public:
  static constexpr unsigned slots = page_size / line_bytes;

  /// Host address of [linear, linear + size) if that may be read (written, or read and then written), else null.
  const u8* read(u64 linear, unsigned size) {
    Slot& slot = at(linear);
    if (line_of(linear + size - 1) != slot.read_tag) return nullptr;
    ++slot.loads;
    return pointer(linear, slot);
  }
  u8* write(u64 linear, unsigned size) {
    Slot& slot = at(linear);
    if (line_of(linear + size - 1) != slot.write_tag) return nullptr;
    ++slot.stores;
    return pointer(linear, slot);
  }
  u8* modify(u64 linear, unsigned size) {
    Slot& slot = at(linear);
    if (line_of(linear + size - 1) != slot.write_tag) return nullptr;
    ++slot.loads;
    ++slot.stores;
    return pointer(linear, slot);
  }

  /// The line that holds `linear` lies at `host`'s line.
  void fill(u64 linear, const u8* host, bool writable) {
    Slot& slot = at(linear);
    slot.read_tag = line_of(linear);
    slot.write_tag = writable ? slot.read_tag : no_tag;
    slot.addend = reinterpret_cast<std::uintptr_t>(host) - linear;
    empty_ = false;
  }
  /// Something else has become the latest used line of the set that a line (of any address space: sets are chosen
  /// within a page) belongs to, or the line may do less than before. `set_mask`: the cache's sets, a power of two, less one.
  void forget(u64 line, u64 set_mask) {
    for (u64 i = line / line_bytes % slots & set_mask; i < slots; i += set_mask + 1) drop(slots_[i]);
  }
  void flush() {
    if (empty_) return;
    for (Slot& slot : slots_) drop(slot);
    empty_ = true;
  }
  /// All lines of the naturally aligned range of 2^shift bytes that holds `linear`.
  void flush_range(u64 linear, unsigned shift) {
    if (empty_) return;
    for (Slot& slot : slots_) {
      if ((slot.read_tag ^ linear) >> shift == 0) drop(slot);
    }
  }

  /// Calls visit(linear) for every line here that was hit since a visit returned true for it.
  template <class Visit>
  void visit_used(Visit visit) {
    for (Slot& slot : slots_) {
      const u64 hits = slot.loads + slot.stores;
      if (hits != slot.visited && slot.read_tag != no_tag && visit(slot.read_tag)) slot.visited = hits;
    }
  }
  /// Hits since the beginning.
  u64 loads() const {
    u64 sum = 0;
    for (const Slot& slot : slots_) sum += slot.loads;
    return sum;
  }
  u64 stores() const {
    u64 sum = 0;
    for (const Slot& slot : slots_) sum += slot.stores;
    return sum;
  }

 private:
  static constexpr u64 no_tag = 1;  ///< not the address of a line
  /// One line of the host's own cache.
  struct alignas(64) Slot {
    u64 read_tag = no_tag;
    u64 write_tag = no_tag;
    std::uintptr_t addend = 0;
    u64 loads = 0, stores = 0;
    u64 visited = 0;
  };
  static_assert(sizeof(Slot) == line_bytes);

  Slot& at(u64 linear) { return slots_[linear / line_bytes % slots]; }
  static u8* pointer(u64 linear, const Slot& slot) {
    return reinterpret_cast<u8*>(linear + slot.addend);  // NOLINT(performance-no-int-to-ptr)
  }
  static void drop(Slot& slot) { slot.read_tag = slot.write_tag = no_tag; }

  std::array<Slot, slots> slots_;
  bool empty_ = true;
};

}  // namespace bunshin
