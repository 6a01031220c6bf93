#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {

namespace {
constexpr u64 four_gib = u64{1} << 32;
}

GuestMemory::GuestMemory(Hardware& hardware, HostPhysical memory, u64 bytes)
    : hardware_(hardware), memory_(memory), bytes_(bytes & ~(page_size - 1)) {}

bool GuestMemory::contains(GuestPhysical address, u64 bytes) const {
  const u64 begin = address.value;
  const u64 end = begin + bytes;
  if (end < begin) return false;
  if (begin < legacy_hole_end && end > legacy_hole) return false;
  if (end <= low_size()) return true;
  return begin >= four_gib && end <= four_gib + high_size();
}

HostPhysical GuestMemory::host(GuestPhysical address) const {
  const u64 offset = address.value < four_gib ? address.value : address.value - four_gib + guest_pci_hole;
  return HostPhysical(memory_.value + offset);
}

u64 GuestMemory::page_index(GuestPhysical address) const { return (host(address).value - memory_.value) >> page_shift; }

GuestPhysical GuestMemory::page_at(u64 index) const {
  const u64 offset = index << page_shift;
  return GuestPhysical(offset < guest_pci_hole ? offset : offset - guest_pci_hole + four_gib);
}

bool GuestMemory::load(GuestPhysical address, unsigned size, u64& value) const {
  if (!contains(address, size)) return false;
  value = hardware_.load(host(address), size);
  return true;
}

bool GuestMemory::store(GuestPhysical address, unsigned size, u64 value) const {
  if (!contains(address, size)) return false;
  hardware_.store(host(address), size, value);
  return true;
}

bool GuestMemory::read(GuestPhysical address, std::span<u8> bytes) const {
  if (!contains(address, bytes.size())) return false;
  hardware_.read(host(address), bytes);
  return true;
}

bool GuestMemory::write(GuestPhysical address, std::span<const u8> bytes) const {
  if (!contains(address, bytes.size())) return false;
  hardware_.write(host(address), bytes);
  return true;
}

bool GuestMemory::clear(GuestPhysical address, u64 bytes) const {
  if (!contains(address, bytes)) return false;
  hardware_.clear(host(address), bytes);
  return true;
}

}  // namespace bunshin::vmm
