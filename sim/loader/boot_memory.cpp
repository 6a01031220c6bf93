#include "sim/loader/boot_memory.h"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "base/check.h"

namespace bunshin {

namespace {

bool overlap(MemoryRange a, MemoryRange b) { return a.base < b.end() && b.base < a.end(); }

constexpr u64 four_gib = u64{1} << 32;

}  // namespace

BootMemory::BootMemory(PhysicalMemory& memory, std::vector<MemoryRange> reserved)
    : memory_(memory), reserved_(std::move(reserved)) {
  claims_.push_back({{0, 0x1000}, "interrupt vectors and BIOS data area"});
  claims_.push_back({{low_end, high_begin - low_end}, "video memory and firmware"});
  for (const MemoryRange& range : reserved_) {
    if (range.size != 0) claims_.push_back({range, "firmware tables"});
  }
}

bool BootMemory::is_ram(MemoryRange range) const {
  if (range.size == 0 || range.base + range.size < range.base) return false;
  return range.end() <= memory_.low_size() || (range.base >= four_gib && range.end() <= four_gib + memory_.high_size());
}

const BootMemory::Claim* BootMemory::blocker(MemoryRange range) const {
  const auto found = std::ranges::find_if(claims_, [&](const Claim& c) { return overlap(c.range, range); });
  return found == claims_.end() ? nullptr : &*found;
}

void BootMemory::claim(MemoryRange range, const std::string& owner, std::string_view what) {
  if (range.size == 0) return;
  if (!is_ram(range)) {
    throw std::runtime_error(
        fmt::format("{}: the {} needs {:#x} bytes at {:#x}, where there is no RAM (the machine has "
                    "{} MiB: see machine.memory)",
                    owner, what, range.size, range.base, memory_.size() >> 20));
  }
  if (const Claim* other = blocker(range)) {
    throw std::runtime_error(fmt::format("{}: the {} at {:#x}-{:#x} overlaps the {} at {:#x}-{:#x}", owner, what,
                                         range.base, range.end() - 1, other->what, other->range.base,
                                         other->range.end() - 1));
  }
  claims_.push_back({range, std::string(what)});
}

u64 BootMemory::place_high(u64 size, u64 align, u64 min, u64 max, const std::string& owner, std::string_view what) {
  const u64 top = std::min(max, memory_.low_size());
  if (size != 0 && size <= top) {
    for (u64 base = (top - size) & ~(align - 1); base >= min;) {
      const Claim* other = blocker({base, size});
      if (other == nullptr) {
        claims_.push_back({{base, size}, std::string(what)});
        return base;
      }
      if (other->range.base < size) break;
      base = (other->range.base - size) & ~(align - 1);
    }
  }
  throw std::runtime_error(fmt::format("{}: no room for the {} ({} KiB) in {} MiB of RAM: see machine.memory", owner,
                                       what, (size + 1023) >> 10, memory_.size() >> 20));
}

u64 BootMemory::place_low(u64 size, u64 align, u64 min, u64 max, const std::string& owner, std::string_view what) {
  const u64 top = std::min(max, memory_.low_size());
  u64 base = (min + align - 1) & ~(align - 1);
  while (size != 0 && base <= top && size <= top - base) {
    const Claim* other = blocker({base, size});
    if (other == nullptr) {
      claims_.push_back({{base, size}, std::string(what)});
      return base;
    }
    base = (other->range.end() + align - 1) & ~(align - 1);
  }
  throw std::runtime_error(fmt::format("{}: no room for the {} ({} KiB) in {} MiB of RAM: see machine.memory", owner,
                                       what, (size + 1023) >> 10, memory_.size() >> 20));
}

u64 BootMemory::place_table(u64 size, std::string_view what) {
  return place_low(size, page_size, first_table, low_end, "boot loader", what);
}

void BootMemory::write(u64 address, std::span<const u8> bytes) {
  if (bytes.empty()) return;
  const bool written = memory_.write(HostPhysical(address), bytes);
  SIM_CHECK(written);
}

u64 BootMemory::place_string(const std::string& text, std::string_view what) {
  const u64 size = text.size() + 1;
  const u64 address =
      size <= 0x10000 ? place_table(size, what) : place_high(size, 16, high_begin, four_gib, "boot loader", what);
  write(address, {reinterpret_cast<const u8*>(text.c_str()), size});
  return address;
}

std::vector<MapEntry> BootMemory::map() const {
  std::vector<MapEntry> map{{0, low_end, MapEntry::usable},
                            {low_end, 0xa0000 - low_end, MapEntry::reserved},
                            {0xe0000, 0x20000, MapEntry::reserved}};
  // RAM above 1 MiB without the reserved ranges in it.
  const auto add_ram = [&](u64 begin, u64 end) {
    std::vector<MemoryRange> holes;
    for (const MemoryRange& r : reserved_) {
      if (r.size != 0 && r.base < end && r.end() > begin) holes.push_back(r);
    }
    std::ranges::sort(holes, {}, &MemoryRange::base);
    for (const MemoryRange& hole : holes) {
      if (hole.base > begin) map.push_back({begin, hole.base - begin, MapEntry::usable});
      begin = std::max(begin, hole.end());
    }
    if (begin < end) map.push_back({begin, end - begin, MapEntry::usable});
  };
  add_ram(high_begin, memory_.low_size());
  if (memory_.high_size() != 0) add_ram(four_gib, four_gib + memory_.high_size());
  for (const MemoryRange& r : reserved_) {
    if (r.size != 0 && r.base >= high_begin) map.push_back({r.base, r.size, MapEntry::reserved});
  }
  std::ranges::sort(map, {}, &MapEntry::base);
  return map;
}

}  // namespace bunshin
