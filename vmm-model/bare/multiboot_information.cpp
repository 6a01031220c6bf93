#include "vmm-model/bare/multiboot_information.h"

#include <algorithm>

#include "vmm-model/bare/instructions.h"
#include "vmm-model/machine/identity_map.h"

extern "C" char image_end[];

namespace bunshin::vmm::bare {

namespace {

constexpr u32 loader_magic = 0x2bad'b002;
constexpr u32 has_memory = 1 << 0, has_modules = 1 << 3, has_map = 1 << 6;
constexpr u64 first_megabyte = 0x10'0000, four_gib = u64{1} << 32;

u32 word(u64 address) { return *reinterpret_cast<const u32*>(static_cast<std::uintptr_t>(address)); }
u64 quad(u64 address) { return u64{word(address + 4)} << 32 | word(address); }

}  // namespace

BootInformation::BootInformation(u32 magic, u64 information) {
  if (magic != loader_magic) return;
  const u32 flags = word(information);
  if ((flags & has_modules) != 0) {
    const u64 list = word(information + 24);
    for (u32 i = 0; i < word(information + 20); ++i) {
      add_module(word(list + 16 * i), word(list + 16 * i + 4), word(list + 16 * i + 8));
    }
  }
  if ((flags & has_map) != 0) {
    const u64 map = word(information + 48), end = map + word(information + 44);
    for (u64 at = map; at < end; at += word(at) + 4) {
      if (word(at + 20) == 1) add_memory(quad(at + 4), quad(at + 4) + quad(at + 12));
    }
  } else if ((flags & has_memory) != 0) {
    add_memory(first_megabyte, first_megabyte + u64{word(information + 8)} * 1024);
  }
}

void BootInformation::add_module(u64 begin, u64 end, u64 name) {
  if (count_ == max_modules || end < begin) return;
  std::array<char, name_bytes>& copy = names_[count_];
  std::size_t length = 0;
  for (const char* c = reinterpret_cast<const char*>(static_cast<std::uintptr_t>(name));
       name != 0 && length < name_bytes && c[length] != 0; ++length) {
    copy[length] = c[length];
  }
  modules_[count_++] = {
      {copy.data(), length},
      {reinterpret_cast<const u8*>(static_cast<std::uintptr_t>(begin)), static_cast<std::size_t>(end - begin)}};
}

void BootInformation::add_memory(u64 begin, u64 end) {
  begin = std::max(begin, first_megabyte);
  if (begin < end && ranges_ < max_ranges) memory_[ranges_++] = {begin, end};
}

// What is in use splits a range; modules do not overlap.
void BootInformation::add_free(PagePool& pool, Range range) const {
  while (range.begin < range.end) {
    Range used{range.end, range.end};
    const auto consider = [&](u64 begin, u64 end) {
      if (end > range.begin && begin < used.begin) used = {begin, end};
    };
    consider(first_megabyte, reinterpret_cast<std::uintptr_t>(image_end));
    for (const BootModule& module : modules()) {
      const u64 begin = reinterpret_cast<std::uintptr_t>(module.bytes.data());
      consider(begin, begin + module.bytes.size());
    }
    if (used.begin > range.begin) pool.add(range.begin, std::min(used.begin, range.end));
    range.begin = used.end;
  }
}

void BootInformation::fill(Hardware& hardware, PagePool& pool) const {
  for (unsigned i = 0; i < ranges_; ++i) add_free(pool, {memory_[i].begin, std::min(memory_[i].end, four_gib)});
  if constexpr (sizeof(std::uintptr_t) < sizeof(u64)) return;
  for (unsigned i = 0; i < ranges_; ++i) {
    add_high_memory(hardware, pool, HostPhysical(read_control_register<3>()), memory_[i].begin, memory_[i].end);
  }
}

}  // namespace bunshin::vmm::bare
