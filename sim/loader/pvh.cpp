// The x86/HVM direct boot ABI, "PVH" (Xen: docs/misc/pvh.pandoc, public/arch-x86/hvm/start_info.h).

#include "sim/loader/entry_state.h"
#include "sim/loader/loader.h"

namespace bunshin {

namespace {

constexpr u32 note_phys32_entry = 18, start_info_magic = 0x336ec578;

struct StartInfo {
  u32 magic = start_info_magic;
  u32 version = 1;
  u32 flags = 0;
  u32 module_count = 0;
  u64 modules = 0;
  u64 cmdline = 0;
  u64 rsdp = 0;
  u64 memory_map = 0;
  u32 memory_map_entries = 0;
  u32 reserved = 0;
};
static_assert(sizeof(StartInfo) == 56);

struct ModuleEntry {
  u64 address = 0, size = 0, cmdline = 0, reserved = 0;
};

struct MapRecord {
  u64 base = 0, size = 0;
  u32 type = 0, reserved = 0;
};

}  // namespace

bool is_pvh(const ImageFile& image) {
  return ElfFile::is_elf(image) && ElfFile(image).note("Xen", note_phys32_entry).has_value();
}

LoadedGuest load_pvh(const BootContext& c) {
  const ElfFile elf(c.image);
  const std::optional<u64> entry = elf.note("Xen", note_phys32_entry);
  if (!entry) c.image.fail("has no Xen note PHYS32_ENTRY, so it cannot be booted by the PVH protocol");
  if (*entry >> 32 != 0) c.image.fail("its PVH entry point does not fit 32 bits");
  const u64 end = elf.load(c.memory);

  StartInfo info;
  const std::vector<LoadedModule> modules = load_modules(c, end);
  info.module_count = static_cast<u32>(modules.size());
  if (!modules.empty()) info.modules = c.memory.place_table(modules.size() * sizeof(ModuleEntry), "module list");
  for (std::size_t i = 0; i < modules.size(); ++i) {
    const LoadedModule& m = modules[i];
    c.memory.put(info.modules + i * sizeof(ModuleEntry), ModuleEntry{m.begin, m.end - m.begin, m.string, 0});
  }
  const std::vector<MapEntry> map = c.memory.map();
  info.memory_map_entries = static_cast<u32>(map.size());
  info.memory_map = c.memory.place_table(map.size() * sizeof(MapRecord), "memory map");
  for (std::size_t i = 0; i < map.size(); ++i) {
    c.memory.put(info.memory_map + i * sizeof(MapRecord), MapRecord{map[i].base, map[i].size, map[i].type, 0});
  }
  info.cmdline = c.memory.place_string(c.files.cmdline, "command line");
  info.rsdp = c.rsdp;
  const u64 address = c.memory.place_table(sizeof(info), "PVH start information");
  c.memory.put(address, info);

  enter_protected_mode(c.state, c.memory, *entry);
  c.state.gpr[RBX] = address;
  return {"PVH", *entry};
}

}  // namespace bunshin
