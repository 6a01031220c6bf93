#pragma once

// Puts a guest into memory and the first processor into the state in which its boot protocol enters it. One file a
// protocol. Whatever is wrong with a file is a std::runtime_error that names it and says what.

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/state.h"
#include "sim/loader/boot_memory.h"
#include "sim/loader/elf_file.h"
#include "sim/loader/image_file.h"

namespace bunshin {

struct GuestFiles {
  /// auto, linux, multiboot, multiboot2, pvh or elf.
  std::string protocol = "auto";
  std::string kernel;
  /// Linux: initial RAM disks, concatenated. Multiboot, PVH: modules, "FILE" or "FILE ARGUMENTS".
  std::vector<std::string> initrd;
  std::string cmdline;
  /// Multiboot: modules that are in memory already, loaded before the others under the names that they have.
  std::vector<ImageFile> modules;
};

struct LoadedGuest {
  /// What was found: "Linux, 64-bit protocol 2.15" …
  std::string protocol;
  u64 entry = 0;
};

/// What every protocol works on.
struct BootContext {
  const GuestFiles& files;
  const ImageFile& image;
  BootMemory& memory;
  /// Physical address of the ACPI root pointer, 0 if there is none.
  u64 rsdp = 0;
  CpuState& state;
};

LoadedGuest load_guest(const GuestFiles& files, BootMemory& memory, u64 rsdp, CpuState& state);
/// The same for an image already in memory (files.kernel is not opened).
LoadedGuest load_guest(const GuestFiles& files, const ImageFile& image, BootMemory& memory, u64 rsdp, CpuState& state);

bool is_linux(const ImageFile& image);
LoadedGuest load_linux(const BootContext& context);

/// Offset of a valid header, if there is one (Multiboot 0.6.96, 3.1; Multiboot2 2.0, 3.1).
std::optional<u64> find_multiboot_header(const ImageFile& image);
LoadedGuest load_multiboot(const BootContext& context);
std::optional<u64> find_multiboot2_header(const ImageFile& image);
LoadedGuest load_multiboot2(const BootContext& context);

bool is_pvh(const ImageFile& image);
LoadedGuest load_pvh(const BootContext& context);

LoadedGuest load_elf(const BootContext& context);

/// A module in guest memory.
struct LoadedModule {
  u64 begin = 0;
  u64 end = 0;
  u64 string = 0;    ///< address of the NUL-terminated text
  std::string text;  ///< file name without its directory, then the arguments
};

/// The path's last part: what a guest is told of a file.
std::string base_name(const std::string& path);
/// A module's file and its arguments, from "FILE ARGUMENTS", where a file of that name exists: names may contain blanks.
std::pair<std::string, std::string> split_module(const std::string& text);

/// Loads all modules page aligned from `from` up.
std::vector<LoadedModule> load_modules(const BootContext& context, u64 from);

/// "kernel-file-name cmdline", as boot loaders hand it to kernels that expect their own name first.
std::string command_line_with_name(const GuestFiles& files);

}  // namespace bunshin
