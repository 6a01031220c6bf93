#include "sim/debug/guest_memory.h"

#include <algorithm>

namespace bunshin {

namespace {

/// Calls access(physical, offset, count) for each page's part of the range until it returns false.
template <class AccessPart>
std::size_t by_pages(const Cpu& cpu, u64 linear, std::size_t size, AccessPart access) {
  std::size_t done = 0;
  while (done < size) {
    const Linear address(linear + done);
    const std::size_t count = std::min<std::size_t>(size - done, page_size - address.page_offset());
    const std::optional<HostPhysical> physical = cpu.mmu.peek(address);
    if (!physical || !access(*physical, done, count)) break;
    done += count;
  }
  return done;
}

}  // namespace

std::size_t read_linear(const Cpu& cpu, u64 linear, std::span<u8> out) {
  return by_pages(cpu, linear, out.size(), [&](HostPhysical physical, std::size_t offset, std::size_t count) {
    return cpu.memory.read(physical, out.subspan(offset, count));
  });
}

std::size_t write_linear(Cpu& cpu, u64 linear, std::span<const u8> data) {
  return by_pages(cpu, linear, data.size(), [&](HostPhysical physical, std::size_t offset, std::size_t count) {
    return cpu.memory.write(physical, data.subspan(offset, count));
  });
}

u64 linear_rip(const Cpu& cpu) {
  if (cpu.mode.bits == 64) return cpu.state.rip;
  return static_cast<u32>(cpu.state.segment(Seg::CS).base + cpu.state.rip);
}

}  // namespace bunshin
