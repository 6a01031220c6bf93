#include "vmm-model/guest_memory.h"

#include <algorithm>
#include <bit>

namespace bunshin::vmm {

GuestMemory::GuestMemory(Hardware& hardware, HostPhysical memory, u64 bytes)
    : GuestMemory(hardware, std::array{Part{memory, bytes}}) {}

GuestMemory::GuestMemory(Hardware& hardware, std::span<const Part> parts) : hardware_(hardware) {
  for (const Part& part : parts.first(std::min<std::size_t>(parts.size(), max_parts))) {
    const u64 to_host = part.host.value - bytes_;
    bytes_ += part.bytes & ~(page_size - 1);
    parts_[count_++] = {bytes_, to_host};
  }
}

GuestPhysical GuestMemory::guest(HostPhysical address) const {
  u64 begin = 0;
  for (unsigned i = 0; i + 1 < count_; begin = parts_[i++].end) {
    const u64 offset = address.value - parts_[i].to_host;
    if (offset >= begin && offset < parts_[i].end) return page_at(offset >> page_shift) + address.page_offset();
  }
  return page_at((address.value - parts_[count_ - 1].to_host) >> page_shift) + address.page_offset();
}

GuestPhysical GuestMemory::page_at(u64 index) const {
  const u64 offset = index << page_shift;
  return GuestPhysical(offset < guest_pci_hole ? offset : offset - guest_pci_hole + four_gib);
}

bool GuestMemory::load(GuestPhysical address, unsigned size, u64& value) const {
  if (!adjacent(address, size)) {
    std::array<u8, sizeof value> bytes{};
    if (!read(address, std::span(bytes).first(size))) return false;
    value = std::bit_cast<u64>(bytes);
    return true;
  }
  value = hardware_.load(host(address), size);
  return true;
}

bool GuestMemory::store(GuestPhysical address, unsigned size, u64 value) const {
  if (!adjacent(address, size)) {
    const auto bytes = std::bit_cast<std::array<u8, sizeof value>>(value);
    return write(address, std::span(bytes).first(size));
  }
  hardware_.store(host(address), size, value);
  return true;
}

bool GuestMemory::read(GuestPhysical address, std::span<u8> bytes) const {
  return for_parts(address, bytes.size(), [&](HostPhysical at, u64 first, u64 count) {
    hardware_.read(at, bytes.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
  });
}

bool GuestMemory::write(GuestPhysical address, std::span<const u8> bytes) const {
  return for_parts(address, bytes.size(), [&](HostPhysical at, u64 first, u64 count) {
    hardware_.write(at, bytes.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count)));
  });
}

bool GuestMemory::clear(GuestPhysical address, u64 bytes) const {
  return for_parts(address, bytes, [&](HostPhysical at, u64, u64 count) { hardware_.clear(at, count); });
}

}  // namespace bunshin::vmm
