#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {

GuestMemory::GuestMemory(Hardware& hardware, HostPhysical memory, u64 bytes)
    : hardware_(hardware), memory_(memory), bytes_(bytes & ~(page_size - 1)) {}

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
