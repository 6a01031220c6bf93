#pragma once

// Guest memory as a boot loader sees it: which ranges are RAM, which are spoken for, and where there is room.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mmu/memory/physical_memory.h"

namespace bunshin {

struct MemoryRange {
  u64 base = 0;
  u64 size = 0;
  u64 end() const { return base + size; }
};

/// An entry of the map that every protocol hands over; types as in ACPI's E820 (ACPI 6.4, 15.1).
struct MapEntry {
  u64 base = 0;
  u64 size = 0;
  u32 type = usable;

  static constexpr u32 usable = 1, reserved = 2, acpi = 3, nvs = 4;
};

class BootMemory {
 public:
  /// `reserved`: firmware tables and other ranges that guests must leave alone; they show as reserved in the map.
  BootMemory(PhysicalMemory& memory, std::vector<MemoryRange> reserved);

  /// The end of conventional memory: the extended BIOS data area begins here.
  static constexpr u64 low_end = 0x9fc00;
  static constexpr u64 high_begin = 0x100000;
  /// Where QEMU puts its Multiboot information: kernels use the pages below for themselves, before they have read it.
  static constexpr u64 first_table = 0x9000;

  PhysicalMemory& memory() { return memory_; }

  /// Takes a range for `what`. Throws std::runtime_error "OWNER: …" if it is not all RAM, reserved, or already taken.
  void claim(MemoryRange range, const std::string& owner, std::string_view what);
  /// Takes the highest (or lowest) free range of `size` bytes within [min, max). Throws as claim() if there is none.
  u64 place_high(u64 size, u64 align, u64 min, u64 max, const std::string& owner, std::string_view what);
  u64 place_low(u64 size, u64 align, u64 min, u64 max, const std::string& owner, std::string_view what);
  /// A place in conventional memory, from first_table up, for what is handed to the guest.
  u64 place_table(u64 size, std::string_view what);

  /// Copies into a claimed range.
  void write(u64 address, std::span<const u8> bytes);
  template <class T>
  void put(u64 address, const T& value) {
    write(address, {reinterpret_cast<const u8*>(&value), sizeof(T)});
  }
  /// Places a NUL-terminated string in conventional memory, or below the end of low RAM if it is long.
  u64 place_string(const std::string& text, std::string_view what);

  /// The map, sorted by address.
  std::vector<MapEntry> map() const;

 private:
  bool is_free(MemoryRange range) const { return blocker(range) == nullptr; }
  struct Claim {
    MemoryRange range;
    std::string what;
  };
  const Claim* blocker(MemoryRange range) const;
  bool is_ram(MemoryRange range) const;

  PhysicalMemory& memory_;
  std::vector<MemoryRange> reserved_;
  std::vector<Claim> claims_;
};

}  // namespace bunshin
