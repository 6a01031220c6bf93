#include "mmu/memory/physical_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace bunshin {
namespace {

void* reserve(u64 bytes, const char* what) {
  void* mapping = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) {
    throw std::runtime_error("cannot reserve " + std::to_string(bytes >> 20) + " MiB of host address space for " +
                             what + ": " + std::strerror(errno) +
                             "; lower machine.memory or raise the limit (ulimit -v)");
  }
  return mapping;
}

bool all_zero(const u8* page) {
  u64 any = 0;
  for (u64 i = 0; i < page_size; i += sizeof(u64)) {
    u64 word;
    std::memcpy(&word, page + i, sizeof word);
    any |= word;
  }
  return any == 0;
}

u64 code_bytes(u64 ram_bytes) { return (ram_bytes >> page_shift) * sizeof(u64); }

}  // namespace

PhysicalMemory::PhysicalMemory(u64 size, u64 low_limit) : size_(size), low_size_(std::min(size, low_limit)) {
  if (size == 0 || size % page_size != 0 || low_limit % page_size != 0 || low_limit > high_base || low_limit == 0) {
    throw std::runtime_error("memory of " + std::to_string(size) + " bytes with a PCI hole from " +
                             std::to_string(low_limit) +
                             ": both must be multiples of 4096, the hole begin at or below 4 GiB");
  }
  if (size > (u64{1} << 46)) throw std::runtime_error("memory larger than 64 TiB cannot be mapped by the host");
  ram_ = static_cast<u8*>(reserve(size_, "guest memory"));
  madvise(ram_, size_, MADV_HUGEPAGE);  // advice only: a host without huge pages is slower, not wrong
  try {
    code_ = static_cast<u64*>(reserve(code_bytes(size_), "the code map"));
  } catch (...) {
    munmap(ram_, size_);
    throw;
  }
}

PhysicalMemory::~PhysicalMemory() {
  munmap(ram_, size_);
  munmap(code_, code_bytes(size_));
}

void PhysicalMemory::add_rom(HostPhysical base, std::span<const u8> contents) {
  const u64 bytes = (contents.size() + page_size - 1) & ~(page_size - 1);
  if (base.page_offset() != 0 || bytes == 0 || base.value + bytes < base.value) {
    throw std::runtime_error("ROM at " + std::to_string(base.value) + " must be page aligned and not empty");
  }
  for (const auto& rom : roms_) {
    if (base.value < rom->base + rom->bytes.size() && rom->base < base.value + bytes) {
      throw std::runtime_error("ROM at " + std::to_string(base.value) + " overlaps the ROM at " +
                               std::to_string(rom->base));
    }
  }
  auto rom = std::make_unique<Rom>();
  rom->base = base.value;
  rom->bytes.assign(contents.begin(), contents.end());
  rom->bytes.resize(bytes, 0);
  const u64 end = std::max(rom_begin_ + rom_span_, base.value + bytes);
  rom_begin_ = roms_.empty() ? base.value : std::min(rom_begin_, base.value);
  rom_span_ = end - rom_begin_;
  roms_.push_back(std::move(rom));
}

u8* PhysicalMemory::rom_page(u64 base) const {
  for (const auto& rom : roms_) {
    if (base - rom->base < rom->bytes.size()) return rom->bytes.data() + (base - rom->base);
  }
  return nullptr;
}

bool PhysicalMemory::read(HostPhysical address, std::span<u8> data) const {
  if (data.empty()) return true;
  if (address.value + (data.size() - 1) < address.value) return false;
  for (u64 done = 0; done < data.size();) {
    const HostPhysical at = address + done;
    if (page(at).host == nullptr) return false;
    done += page_size - at.page_offset();
  }
  for (u64 done = 0; done < data.size();) {
    const HostPhysical at = address + done;
    const u64 chunk = std::min<u64>(data.size() - done, page_size - at.page_offset());
    std::memcpy(data.data() + done, page(at).host + at.page_offset(), chunk);
    done += chunk;
  }
  return true;
}

bool PhysicalMemory::write(HostPhysical address, std::span<const u8> data) {
  if (data.empty()) return true;
  if (address.value + (data.size() - 1) < address.value) return false;
  for (u64 done = 0; done < data.size();) {
    const HostPhysical at = address + done;
    if (page(at).host == nullptr) return false;
    done += page_size - at.page_offset();
  }
  for (u64 done = 0; done < data.size();) {
    const HostPhysical at = address + done;
    const u64 chunk = std::min<u64>(data.size() - done, page_size - at.page_offset());
    const Page target = page(at);
    if (target.writable) {
      if (watcher_ != nullptr && has_code(at, chunk)) watcher_->code_written(at, chunk);
      std::memcpy(target.host + at.page_offset(), data.data() + done, chunk);
    }
    done += chunk;
  }
  return true;
}

bool PhysicalMemory::mark_code(HostPhysical address, u64 size) {
  u64* granules = code_map(address.value);
  if (granules == nullptr) return false;
  const bool first = *granules == 0;
  *granules |= granule_mask(address.page_offset(), size);
  return first && *granules != 0;
}

void PhysicalMemory::clear_code(HostPhysical page) {
  u64* granules = code_map(page.value);
  if (granules == nullptr || *granules == 0) return;
  *granules = 0;
  for (const u64 line : watched_lines_) {
    if (HostPhysical(line).page().value == page.page().value) mark_code(HostPhysical(line), watch_bytes);
  }
}

void PhysicalMemory::watch_line(HostPhysical line) {
  watched_lines_.push_back(line.value);
  if (mark_code(line, watch_bytes) && watcher_ != nullptr) watcher_->line_watched(line.page());
}

void PhysicalMemory::unwatch_line(HostPhysical line) {
  const auto it = std::find(watched_lines_.begin(), watched_lines_.end(), line.value);
  if (it != watched_lines_.end()) watched_lines_.erase(it);
}

bool PhysicalMemory::overlaps_watched(u64 address, u64 size) const {
  return std::any_of(watched_lines_.begin(), watched_lines_.end(),
                     [=](u64 line) { return line < address + size && address < line + watch_bytes; });
}

template <class Visit>
void PhysicalMemory::for_each_touched_page(Visit visit) const {
  // Documentation/admin-guide/mm/pagemap.rst: bit 63 present, bit 62 swapped; one 64-bit word a page.
  constexpr u64 backed = u64{3} << 62;
  std::array<u64, 4096> entries;
  const int file = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const u64 first = reinterpret_cast<std::uintptr_t>(ram_) >> page_shift;
  const u64 pages = size_ >> page_shift;
  for (u64 page = 0; page < pages; page += entries.size()) {
    const u64 count = std::min<u64>(entries.size(), pages - page);
    const u64 bytes = count * sizeof(u64);
    const bool known =
        file >= 0 && pread(file, entries.data(), bytes, static_cast<off_t>((first + page) * sizeof(u64))) ==
                         static_cast<ssize_t>(bytes);
    for (u64 i = 0; i < count; ++i) {
      if (!known || (entries[i] & backed) != 0) visit((page + i) << page_shift);
    }
  }
  if (file >= 0) close(file);
}

void PhysicalMemory::hash(StateHash& hash) const {
  for_each_touched_page([&](u64 offset) {
    if (all_zero(ram_ + offset)) return;
    hash.add(offset < low_size_ ? offset : high_base + (offset - low_size_));
    hash.add(std::span<const u8>(ram_ + offset, page_size));
  });
  for (const auto& rom : roms_) {
    hash.add(rom->base);
    hash.add(std::span<const u8>(rom->bytes));
  }
}

std::vector<PhysicalMemory::Run> PhysicalMemory::touched() const {
  std::vector<Run> runs;
  for_each_touched_page([&](u64 offset) {
    const u8* const host = ram_ + offset;
    const HostPhysical address = address_of(host);
    if (page(address).host != host) return;  // behind video memory or a ROM
    if (!runs.empty()) {
      Run& last = runs.back();
      if (last.begin + last.bytes.size() == address) {
        last.bytes = {last.bytes.data(), last.bytes.size() + page_size};
        return;
      }
    }
    runs.push_back({address, {host, page_size}});
  });
  return runs;
}

u64 PhysicalMemory::resident_bytes() const {
  u64 bytes = 0;
  for_each_touched_page([&](u64) { bytes += page_size; });
  return bytes;
}

}  // namespace bunshin
