// Multiboot Specification 0.6.96. Where it leaves a choice, as `qemu-system-x86_64 -kernel` does it.

#include <array>

#include <fmt/format.h>

#include "sim/loader/entry_state.h"
#include "sim/loader/loader.h"

namespace bunshin {

namespace {

constexpr u32 header_magic = 0x1badb002, loader_magic = 0x2badb002;
constexpr u64 search_bytes = 8192;
/// Header flags (3.1.2).
constexpr u32 flag_addresses = 1u << 16, flag_known_required = 0x7, flag_required = 0xffff;

/// Boot information, up to and with the framebuffer (3.3).
struct Information {
  u32 flags = 0;
  u32 mem_lower = 0, mem_upper = 0;
  u32 boot_device = 0;
  u32 cmdline = 0;
  u32 mods_count = 0, mods_addr = 0;
  std::array<u32, 4> symbols{};
  u32 mmap_length = 0, mmap_addr = 0;
  u32 drives_length = 0, drives_addr = 0;
  u32 config_table = 0;
  u32 boot_loader_name = 0;
  u32 apm_table = 0;
  std::array<u32, 4> vbe{};
  u32 framebuffer_low = 0, framebuffer_high = 0;
  u32 framebuffer_pitch = 0, framebuffer_width = 0, framebuffer_height = 0;
  u8 framebuffer_bpp = 0, framebuffer_type = 0;
  std::array<u8, 6> colour{};
};
static_assert(sizeof(Information) == 116);

struct Module {
  u32 begin = 0, end = 0, string = 0, reserved = 0;
};

struct MapRecord {
  u32 size = 20;
  u32 base_low = 0, base_high = 0, length_low = 0, length_high = 0;
  u32 type = 0;
};
static_assert(sizeof(MapRecord) == 24);

struct Placed {
  u64 entry = 0;
  u64 end = 0;
};

/// The address fields of a header with bit 16 (3.1.3): images that are not ELF.
Placed load_by_addresses(const BootContext& c, u64 header) {
  const auto word = [&](u64 index) {
    return c.image.get<u32>(header + 4 * index, "Multiboot header's address fields");
  };
  const u32 header_address = word(3), load_address = word(4), load_end = word(5), bss_end = word(6), entry = word(7);
  if (load_address > header_address || header_address - load_address > header) {
    c.image.fail(fmt::format("its Multiboot header puts load_addr {:#x} where the file has nothing (header_addr {:#x})",
                             load_address, header_address));
  }
  const u64 offset = header - (header_address - load_address);
  if (load_end != 0 && load_end < load_address) {
    c.image.fail(fmt::format("its Multiboot load_end_addr {:#x} lies before load_addr {:#x}", load_end, load_address));
  }
  const u64 length = load_end == 0 ? c.image.size() - offset : load_end - load_address;
  const std::span<const u8> bytes = c.image.slice(offset, length, "Multiboot image");
  u64 size = length;
  if (bss_end != 0) {
    if (bss_end < load_address + length) {
      c.image.fail(fmt::format("its Multiboot bss_end_addr {:#x} lies within the loaded image", bss_end));
    }
    size = bss_end - load_address;
  }
  c.memory.claim({load_address, size}, c.image.name(), "kernel");
  c.memory.write(load_address, bytes);
  return {entry, load_address + size};
}

Placed load_image(const BootContext& c, u64 header, u32 flags) {
  if ((flags & flag_addresses) != 0) return load_by_addresses(c, header);
  if (!ElfFile::is_elf(c.image)) c.image.fail("has a Multiboot header without addresses and is not an ELF file either");
  const ElfFile elf(c.image);
  const u64 end = elf.load(c.memory);
  return {elf.physical_entry(), end};
}

void describe_memory(const BootContext& c, Information& info) {
  info.mem_lower = BootMemory::low_end / 1024;
  info.mem_upper = static_cast<u32>((c.memory.memory().low_size() - BootMemory::high_begin) / 1024);
  const std::vector<MapEntry> map = c.memory.map();
  info.mmap_length = static_cast<u32>(map.size() * sizeof(MapRecord));
  info.mmap_addr = static_cast<u32>(c.memory.place_table(info.mmap_length, "memory map"));
  for (std::size_t i = 0; i < map.size(); ++i) {
    const MapRecord record{20,
                           static_cast<u32>(map[i].base),
                           static_cast<u32>(map[i].base >> 32),
                           static_cast<u32>(map[i].size),
                           static_cast<u32>(map[i].size >> 32),
                           map[i].type};
    c.memory.put(info.mmap_addr + i * sizeof(MapRecord), record);
  }
  info.flags |= 1u << 0 | 1u << 6;
}

void describe_modules(const BootContext& c, u64 kernel_end, Information& info) {
  const std::vector<LoadedModule> modules = load_modules(c, kernel_end);
  info.flags |= 1u << 3;
  if (modules.empty()) return;
  info.mods_count = static_cast<u32>(modules.size());
  info.mods_addr = static_cast<u32>(c.memory.place_table(modules.size() * sizeof(Module), "module list"));
  for (std::size_t i = 0; i < modules.size(); ++i) {
    c.memory.put(info.mods_addr + i * sizeof(Module),
                 Module{static_cast<u32>(modules[i].begin), static_cast<u32>(modules[i].end),
                        static_cast<u32>(modules[i].string), 0});
  }
}

void describe_screen(Information& info) {
  constexpr u8 ega_text = 2;
  info.framebuffer_low = 0xb8000;
  info.framebuffer_pitch = 160;
  info.framebuffer_width = 80;
  info.framebuffer_height = 25;
  info.framebuffer_bpp = 16;
  info.framebuffer_type = ega_text;
  info.flags |= 1u << 12;
}

}  // namespace

std::optional<u64> find_multiboot_header(const ImageFile& image) {
  for (u64 at = 0; at + 12 <= image.size() && at + 12 <= search_bytes; at += 4) {
    if (image.get<u32>(at, "header") != header_magic) continue;
    const u32 sum = header_magic + image.get<u32>(at + 4, "header") + image.get<u32>(at + 8, "header");
    if (sum == 0) return at;
  }
  return std::nullopt;
}

LoadedGuest load_multiboot(const BootContext& c) {
  const std::optional<u64> header = find_multiboot_header(c.image);
  if (!header) c.image.fail("has no valid Multiboot header in its first 8 KiB");
  const u32 flags = c.image.get<u32>(*header + 4, "Multiboot header");
  if ((flags & flag_required & ~flag_known_required) != 0) {
    c.image.fail(
        fmt::format("its Multiboot header requires features that no specification defines (flags {:#x})", flags));
  }
  const Placed kernel = load_image(c, *header, flags);

  const u64 address = c.memory.place_table(sizeof(Information), "Multiboot information");
  Information info;
  info.cmdline = static_cast<u32>(c.memory.place_string(command_line_with_name(c.files), "command line"));
  info.boot_loader_name = static_cast<u32>(c.memory.place_string("bunshin", "boot loader's name"));
  info.boot_device = 0x8000'ffff;  // the first disk, no partition
  info.flags |= 1u << 1 | 1u << 2 | 1u << 9;
  describe_memory(c, info);
  describe_modules(c, kernel.end, info);
  describe_screen(info);
  c.memory.put(address, info);

  enter_protected_mode(c.state, c.memory, kernel.entry);
  c.state.gpr[RAX] = loader_magic;
  c.state.gpr[RBX] = address;
  return {"Multiboot", kernel.entry};
}

}  // namespace bunshin
