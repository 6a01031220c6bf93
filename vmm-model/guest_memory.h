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
  /// `memory`: `bytes` of adjacent host memory.
  GuestMemory(Hardware& hardware, HostPhysical memory, u64 bytes);

  u64 size() const { return bytes_; }
  u64 low_size() const { return bytes_ < guest_pci_hole ? bytes_ : guest_pci_hole; }
  u64 high_size() const { return bytes_ - low_size(); }
  /// Pages of RAM, numbered without the holes: what per-page tables are indexed by.
  u64 pages() const { return bytes_ >> page_shift; }
  u64 page_index(GuestPhysical address) const { return (host(address).value - memory_.value) >> page_shift; }
  /// The inverse of host(), for an address that host() has given.
  GuestPhysical guest(HostPhysical address) const {
    return page_at((address.value - memory_.value) >> page_shift) + address.page_offset();
  }

  /// [address, address + bytes) is RAM of this guest.
  bool contains(GuestPhysical address, u64 bytes) const {
    const u64 begin = address.value, end = begin + bytes;
    if (end < begin || (begin < legacy_hole_end && end > legacy_hole)) return false;
    return end <= low_size() || (begin >= four_gib && end <= four_gib + high_size());
  }
  /// The host's address; the caller has asked contains().
  HostPhysical host(GuestPhysical address) const {
    const u64 offset = address.value < four_gib ? address.value : address.value - four_gib + guest_pci_hole;
    return HostPhysical(memory_.value + offset);
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

  Hardware& hardware_;
  HostPhysical memory_;
  u64 bytes_;
};

}  // namespace bunshin::vmm
