#pragma once

// One guest's physical memory (CHAPTER S8): which host pages stand behind its guest-physical addresses. Everything that the
// hypervisor reads or writes for a guest goes through here, so that no guest can name memory that is not its own.

#include <array>
#include <span>

#include "vmm-model/hardware.h"

namespace bunshin::vmm {

/// Where RAM ends below 4 GiB on the guest's board; the rest is above 4 GiB.
inline constexpr u64 guest_pci_hole = 0xc000'0000;

class GuestMemory {
 public:
  /// Adjacent host memory, whole pages.
  struct Part {
    HostPhysical host;
    u64 bytes = 0;
  };
  /// The host's memory may be in pieces: it has a hole below 4 GiB as well.
  static constexpr unsigned max_parts = 4;

  GuestMemory(Hardware& hardware, HostPhysical memory, u64 bytes);
  /// What stands behind the guest's RAM, from its beginning; parts beyond `max_parts` are ignored.
  GuestMemory(Hardware& hardware, std::span<const Part> parts);

  u64 size() const { return bytes_; }
  u64 low_size() const { return bytes_ < guest_pci_hole ? bytes_ : guest_pci_hole; }
  u64 high_size() const { return bytes_ - low_size(); }
  /// Pages of RAM, numbered without the holes: what per-page tables are indexed by.
  u64 pages() const { return bytes_ >> page_shift; }
  u64 page_index(GuestPhysical address) const { return offset(address) >> page_shift; }
  /// The inverse of host(), for an address that host() has given.
  GuestPhysical guest(HostPhysical address) const;

  static constexpr u64 no_page = ~u64{0};
  /// page_index() of an address that need not be RAM; no_page: it is not.
  u64 find_page(GuestPhysical address) const {
    const u64 page = address.value >> page_shift;
    const bool video = page - (legacy_hole >> page_shift) < (legacy_hole_end - legacy_hole) >> page_shift;
    if (page < low_size() >> page_shift) return video ? no_page : page;
    const u64 high = page - (four_gib >> page_shift);
    return high < high_size() >> page_shift ? high + (guest_pci_hole >> page_shift) : no_page;
  }
  /// [address, address + bytes) is RAM of this guest.
  bool contains(GuestPhysical address, u64 bytes) const {
    if (bytes <= page_size - address.page_offset()) return find_page(address) != no_page;
    const u64 begin = address.value, end = begin + bytes;
    if (end < begin || (begin < legacy_hole_end && end > legacy_hole)) return false;
    return end <= low_size() || (begin >= four_gib && end <= four_gib + high_size());
  }
  /// [address, address + bytes) is RAM, and behind it is adjacent memory of the host's: a page may map all of it.
  bool adjacent(GuestPhysical address, u64 bytes) const {
    return contains(address, bytes) && part_of(offset(address)).end >= offset(address) + bytes;
  }
  /// The host's address; the caller has asked contains().
  HostPhysical host(GuestPhysical address) const {
    const u64 at = offset(address);
    return HostPhysical(at + part_of(at).to_host);
  }

  /// False, with nothing done or read, outside of RAM. `size` is 1, 2, 4 or 8.
  bool load(GuestPhysical address, unsigned size, u64& value) const;
  bool store(GuestPhysical address, unsigned size, u64 value) const;
  bool read(GuestPhysical address, std::span<u8> bytes) const;
  bool write(GuestPhysical address, std::span<const u8> bytes) const;
  bool clear(GuestPhysical address, u64 bytes) const;
  /// The page of RAM with this number.
  GuestPhysical page_at(u64 index) const;

 private:
  static constexpr u64 legacy_hole = 0xa'0000, legacy_hole_end = 0xc'0000,  // video memory
      four_gib = u64{1} << 32;

  struct Placed {
    u64 end = 0;      ///< offset behind its last byte, in RAM without the holes
    u64 to_host = 0;  ///< host address less offset, modulo 2^64
  };
  static u64 offset(GuestPhysical address) {
    return address.value < four_gib ? address.value : address.value - four_gib + guest_pci_hole;
  }
  const Placed& part_of(u64 offset) const {
    unsigned i = 0;
    while (offset >= parts_[i].end && i + 1 < count_) ++i;
    return parts_[i];
  }
  /// Calls `use(HostPhysical, first byte's number, bytes)` for each part of [address, address + bytes). False: it is not RAM.
  template <typename Use>
  bool for_parts(GuestPhysical address, u64 bytes, Use use) const {
    if (!contains(address, bytes)) return false;
    const u64 begin = offset(address);
    for (u64 done = 0; done < bytes;) {
      const Placed& part = part_of(begin + done);
      const u64 left = bytes - done, here = part.end - begin - done;
      const u64 now = left < here ? left : here;
      use(HostPhysical(begin + done + part.to_host), done, now);
      done += now;
    }
    return true;
  }

  Hardware& hardware_;
  std::array<Placed, max_parts> parts_{};
  unsigned count_ = 0;
  u64 bytes_ = 0;
};

}  // namespace bunshin::vmm
