#include "core/virt/physical_access.h"

#include <algorithm>

namespace bunshin {

namespace {

void log_lines(Cpu& cpu, HostPhysical address, std::size_t bytes, MemoryReference::Kind kind) {
  if (!cpu.observation.active()) return;
  constexpr u64 line = 64;
  for (u64 done = 0; done < bytes;) {
    const u64 at = address.value + done;
    const u64 step = std::min<u64>(line - (at & (line - 1)), bytes - done);
    cpu.observation.log().add({at, HostPhysical(at), static_cast<u16>(step), kind, true, 0, 0, TlbOutcome::FirstLevel});
    done += step;
  }
}

}  // namespace

void read_physical(Cpu& cpu, HostPhysical address, std::span<u8> data) {
  if (!cpu.memory.read(address, data)) std::fill(data.begin(), data.end(), u8{0xff});
  log_lines(cpu, address, data.size(), MemoryReference::Kind::Load);
}

void write_physical(Cpu& cpu, HostPhysical address, std::span<const u8> data) {
  cpu.memory.write(address, data);
  log_lines(cpu, address, data.size(), MemoryReference::Kind::Store);
}

}  // namespace bunshin
