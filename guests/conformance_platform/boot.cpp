// What a Multiboot loader promises (Multiboot Specification 0.6.96, 3.2 and 3.3), and the memory that it describes.

#include "guests/conformance_platform/platform.h"
#include "guests/runtime/console.h"

extern "C" {
extern guest::u32 boot_magic, boot_information;
extern guest::u64 page_directory_pointers[512];
}

namespace guest {

namespace {

constexpr u32 magic = 0x2badb002;
constexpr u16 ram_size_item = 3;
constexpr u64 four_gib = u64{1} << 32;

struct Region {
  u64 base, size;
  u32 type;
};

u32 word(u32 offset) { return load<u32>(boot_information + offset); }

/// Calls `visit(region)` for each entry of the memory map until it returns true; false if none does.
template <class Visit>
bool any_region(Visit visit) {
  const u64 end = u64{word(48)} + word(44);
  for (u64 at = word(48); at < end; at += load<u32>(at) + 4) {
    if (visit(Region{load<u64>(at + 4), load<u64>(at + 12), load<u32>(at + 20)})) return true;
  }
  return false;
}

bool magic_is_right() { return boot_magic == magic; }
bool flags_are_set() { return (word(0) & 0x4d) == 0x4d; }  // memory, command line, modules, memory map

/// Names are the loader's affair: QEMU says the folder too.
void print_behind_the_name(u64 at) {
  while (load<u8>(at) != 0 && load<u8>(at) != ' ') ++at;
  print("\"");
  for (; load<u8>(at) != 0; ++at) {
    const char text[2] = {static_cast<char>(load<u8>(at)), 0};
    print(text);
  }
  print("\" ");
}

bool arguments_follow_the_name() {
  print_behind_the_name(word(16));
  return true;
}

bool modules_are_loaded() {
  const u32 count = word(20);
  print(count, " ");
  for (u32 i = 0; i < count; ++i) {
    const u64 entry = u64{word(24)} + 16 * i;
    const u32 begin = load<u32>(entry), end = load<u32>(entry + 4);
    u32 sum = 0;
    for (u32 at = begin; at < end; ++at) sum = sum * 31 + load<u8>(at);
    print("length ", end - begin, " sum ", Hex{sum}, " ");
    print_behind_the_name(load<u32>(entry + 8));
    if (begin % 4096 != 0) return false;
  }
  return true;
}

bool map_agrees_with_the_sizes() {
  const u64 upper_end = 0x10'0000 + u64{word(8)} * 1024;
  return any_region([&](Region r) { return r.type == 1 && r.base == 0x10'0000 && r.base + r.size <= upper_end; });
}

bool low_memory_is_usable() {
  return any_region([](Region r) { return r.type == 1 && r.base == 0 && r.size >= 0x9'0000 && r.size <= 0xa'0000; });
}

/// The page tables of boot.S end at 4 GiB.
u8* above_four_gib(u64 offset) {
  alignas(4096) static u64 directory[512];
  for (u64 i = 0; i < 512; ++i) directory[i] = (four_gib + (i << 21)) | 0x83;
  page_directory_pointers[4] = reinterpret_cast<u64>(directory) | 3;
  asm volatile("mov %%cr3, %%rax; mov %%rax, %%cr3" : : : "rax", "memory");
  return reinterpret_cast<u8*>(four_gib + offset);
}

bool high_memory_works() {
  const u64 ram = firmware_value(ram_size_item, 8);
  u64 high = 0;
  any_region([&](Region r) {
    if (r.type == 1 && r.base == four_gib) high = r.size;
    return false;
  });
  if (ram <= four_gib) return high == 0 || high < ram;
  if (high == 0 || ram <= high || ram - high > 0xe000'0000) return false;
  volatile u8* const first = above_four_gib(0);
  volatile u8* const later = above_four_gib(0x1234'5678 % high);
  *first = 0x5a;
  *later = 0xa5;
  return *first == 0x5a && *later == 0xa5;
}

constexpr Check checks[] = {
    {"magic number", magic_is_right},          {"flags", flags_are_set},
    {"arguments", arguments_follow_the_name},  {"modules", modules_are_loaded},
    {"memory map", map_agrees_with_the_sizes}, {"low memory", low_memory_is_usable},
    {"memory above 4 GiB", high_memory_works},
};

}  // namespace

unsigned check_boot() { return run_checks("boot", checks); }

}  // namespace guest
