#pragma once

// Host-physical memory: sparse RAM, read-only memory, and the record of which bytes hold decoded instructions.

#include <memory>
#include <span>
#include <vector>

#include "base/address.h"
#include "base/state_hash.h"
#include "base/types.h"

namespace bunshin {

/// Told when bytes that hold decoded instructions are about to change, by a core's store or by DMA.
class CodeWatcher {
 public:
  virtual void code_written(HostPhysical address, u64 size) = 0;
  /// A page without code has a watched line from now on: fast writes to it must end.
  virtual void line_watched(HostPhysical /*page*/) {}

 protected:
  ~CodeWatcher() = default;
};

/// RAM lies at [0, low) but for the video window at 0xA0000, and, if larger than `low_limit`, continues at 4 GiB, as on
/// a PC. Backing is one lazily populated host mapping, so a machine costs what it touched.
class PhysicalMemory {
 public:
  /// `size` in bytes, a multiple of 4 KiB. `low_limit` is where the PCI hole begins (at most 4 GiB).
  /// Throws std::runtime_error if the sizes are unusable or the host cannot reserve the address space.
  explicit PhysicalMemory(u64 size, u64 low_limit = 0xc000'0000);
  ~PhysicalMemory();
  PhysicalMemory(const PhysicalMemory&) = delete;
  PhysicalMemory& operator=(const PhysicalMemory&) = delete;

  /// The legacy video memory decodes to the bus; RAM behind it is not reachable.
  static constexpr u64 video_begin = 0xa'0000;
  static constexpr u64 video_end = 0xc'0000;

  u64 size() const { return size_; }
  u64 low_size() const { return low_size_; }
  u64 high_size() const { return size_ - low_size_; }

  /// Adds read-only memory (firmware) over [base, base + contents.size()), in front of whatever is there. `base` must
  /// be page aligned; the last page is filled up with zeros. Throws std::runtime_error if it is not, or overlaps a ROM.
  void add_rom(HostPhysical base, std::span<const u8> contents);

  /// Host address of the page's first byte, or nullptr where a device (or nothing) lives. Writable only if `writable`.
  struct Page {
    u8* host = nullptr;
    bool writable = false;
  };
  Page page(HostPhysical address) const {
    const u64 base = address.page().value;
    if (base - rom_begin_ < rom_span_) [[unlikely]] {
      if (u8* rom = rom_page(base)) return {rom, false};
    }
    const u64 offset = ram_offset(base);
    return offset == no_ram ? Page{} : Page{ram_ + offset, true};
  }

  /// Inverse of page(), for addresses in RAM; for any other host address a value that means nothing.
  HostPhysical address_of(const u8* host) const {
    const u64 offset = static_cast<u64>(host - ram_);
    return HostPhysical(offset < low_size_ ? offset : offset - low_size_ + high_base);
  }

  /// Copies to or from RAM/ROM (writes to ROM vanish). False, nothing copied, if any byte is not RAM or ROM. Writes
  /// tell the code watcher. For loaders, DMA, walkers and debuggers: not the processor's data path.
  bool read(HostPhysical address, std::span<u8> data) const;
  bool write(HostPhysical address, std::span<const u8> data);

  /// --- Decoded instructions (core/engine marks, everyone who writes checks) ---
  /// Granule of the code map, in bytes. ROM is never marked: nobody can write it.
  static constexpr unsigned code_granule = 64;
  void set_code_watcher(CodeWatcher* watcher) { watcher_ = watcher; }
  /// True if any granule of the page holds code: its writes must take the slow path.
  bool page_has_code(HostPhysical address) const {
    const u64* granules = code_map(address.value);
    return granules != nullptr && *granules != 0;
  }
  /// True if any byte of [address, address + size) lies in a granule marked as code; the range lies in one page.
  bool has_code(HostPhysical address, u64 size) const {
    const u64* granules = code_map(address.value);
    return granules != nullptr && (*granules & granule_mask(address.page_offset(), size)) != 0;
  }
  /// Marks; returns true if the page had no code before (write mappings of it must then be dropped).
  bool mark_code(HostPhysical address, u64 size);
  /// Watched lines of the page stay marked.
  void clear_code(HostPhysical page);

  /// --- Lines that a core waits to see written (MONITOR). They are marked as code is, so that their writers come the
  /// --- slow way and the watcher is told, and may be watched by several cores at once. ---
  static constexpr unsigned watch_bytes = code_granule;
  /// `line` is aligned to watch_bytes and lies in RAM.
  void watch_line(HostPhysical line);
  void unwatch_line(HostPhysical line);
  /// Writes there count even if they change nothing.
  bool is_watched(HostPhysical address, u64 size) const {
    return !watched_lines_.empty() && overlaps_watched(address.value, size);
  }

  /// RAM that has been touched, in pieces that are contiguous, by address. Good until somebody writes.
  struct Run {
    HostPhysical begin;
    std::span<const u8> bytes;
  };
  std::vector<Run> touched() const;
  /// Adds every page that is not all zero, with its address.
  void hash(StateHash& hash) const;
  /// Bytes of host memory that back touched RAM.
  u64 resident_bytes() const;

 private:
  struct Rom {
    u64 base = 0;
    std::vector<u8> bytes;
  };
  static constexpr u64 no_ram = ~u64{0};
  static constexpr u64 high_base = u64{1} << 32;

  u64 ram_offset(u64 address) const {
    if (address < low_size_) return address - video_begin < video_end - video_begin ? no_ram : address;
    const u64 high = address - high_base;  // wraps below 4 GiB to a value no RAM reaches
    return high < size_ - low_size_ ? low_size_ + high : no_ram;
  }
  u64* code_map(u64 address) const {
    const u64 offset = ram_offset(address);
    return offset == no_ram ? nullptr : code_ + (offset >> page_shift);
  }
  /// One bit a granule of the page, for the granules of [offset, offset + size).
  static u64 granule_mask(u64 offset, u64 size) {
    if (size == 0) return 0;
    const u64 last = (offset + size - 1 < page_size ? offset + size - 1 : page_size - 1) / code_granule;
    const u64 first = offset / code_granule;
    return (~u64{0} >> (63 - (last - first))) << first;
  }
  u8* rom_page(u64 base) const;
  bool overlaps_watched(u64 address, u64 size) const;
  /// Every page the host has ever backed, by offset in the mapping; all pages if the host does not tell.
  template <class Visit>
  void for_each_touched_page(Visit visit) const;

  u64 size_ = 0;
  u64 low_size_ = 0;
  u8* ram_ = nullptr;
  u64* code_ = nullptr;  ///< one 64-bit map of granules a page, by RAM page number; lazily zero like the RAM
  u64 rom_begin_ = 0;    ///< all ROMs lie in [rom_begin_, rom_begin_ + rom_span_)
  u64 rom_span_ = 0;
  std::vector<std::unique_ptr<Rom>> roms_;
  CodeWatcher* watcher_ = nullptr;
  std::vector<u64> watched_lines_;  ///< at most one a core
};

}  // namespace bunshin
