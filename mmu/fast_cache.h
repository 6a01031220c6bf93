#pragma once

// The fast translation cache: page to host pointer, one compare per access. It holds an entry only while the modeled
// TLB holds it, so that a fast hit *is* a TLB hit. Pages that need a slow path (devices, code pages for writes, accesses
// that must set A or D) have no tag for that kind of access.

#include <array>
#include <cstdint>

#include "base/address.h"

namespace bunshin {

class FastCache {
 public:
  static constexpr unsigned entries = 1024;
  /// No access has this tag: it is not page aligned.
  static constexpr u64 no_tag = 1;

  struct Entry {
    u64 read_tag = no_tag;      ///< linear page address that may be read
    u64 write_tag = no_tag;     ///< … written
    u64 execute_tag = no_tag;   ///< … fetched from
    std::uintptr_t addend = 0;  ///< host address = linear address + addend
  };

  /// Host address of [linear, linear + size) if it may be read and lies in one page, else nullptr.
  const u8* read(u64 linear, unsigned size) const {
    const Entry& e = at(linear);
    return ((linear + size - 1) & ~u64{0xfff}) == e.read_tag ? pointer(linear, e) : nullptr;
  }
  u8* write(u64 linear, unsigned size) {
    const Entry& e = at(linear);
    return ((linear + size - 1) & ~u64{0xfff}) == e.write_tag ? pointer(linear, e) : nullptr;
  }
  const u8* execute(u64 linear) const {
    const Entry& e = at(linear);
    return (linear & ~u64{0xfff}) == e.execute_tag ? pointer(linear, e) : nullptr;
  }

  Entry& at(u64 linear) { return table_[(linear >> page_shift) % entries]; }
  const Entry& at(u64 linear) const { return table_[(linear >> page_shift) % entries]; }
  /// Before writing to an entry: remembers it, so that flush() costs what was filled.
  void note_fill(u64 linear, unsigned shift);
  /// log2 of the size of the page that a held translation comes from.
  unsigned shift_of(u64 linear) const { return shifts_[(linear >> page_shift) % entries]; }
  void flush();
  void flush_page(u64 linear);
  /// Every page of the naturally aligned range of 2^shift bytes that holds `linear`.
  void flush_range(u64 linear, unsigned shift);
  /// Drops write permission of every entry that maps this host page.
  void drop_writes(const u8* host_page);

 private:
  static u8* pointer(u64 linear, const Entry& e) {
    return reinterpret_cast<u8*>(linear + e.addend);  // NOLINT(performance-no-int-to-ptr)
  }

  /// Calls visit(entry) for every entry filled since the last flush().
  template <class Visit>
  void for_each_filled(Visit visit);

  std::array<Entry, entries> table_{};
  /// Bit i: table_[i] may hold tags.
  std::array<u64, entries / 64> filled_{};
  std::array<u8, entries> shifts_{};
};

}  // namespace bunshin
