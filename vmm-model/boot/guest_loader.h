#pragma once

// Puts a guest's kernel into its memory and its processor where the boot protocol says: Linux (boot.rst, 64-bit entry) and
// Multiboot 1 (ELF or a.out-kludge kernels). Images are hostile until checked.

#include <span>
#include <string_view>

#include "vmm-model/guest_execution.h"
#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {

/// A RAM disk, or a Multiboot module: its string is the name, a blank and the arguments.
struct GuestModule {
  std::span<const u8> bytes;
  std::string_view name, arguments;
};

struct GuestImage {
  std::span<const u8> kernel;
  std::span<const GuestModule> initrds;  ///< at most GuestConfig::max_initrds
  std::string_view cmdline;
  std::string_view kernel_name;  ///< of its file, as boot loaders tell Multiboot kernels
};

/// Empty, or what is wrong with the image for this guest.
std::string_view load_guest(const GuestImage& image, GuestMemory& memory, GuestExecution& execution);

std::string_view load_linux(const GuestImage& image, GuestMemory& memory, GuestExecution& execution);
std::string_view load_multiboot(const GuestImage& image, GuestMemory& memory, GuestExecution& execution);
bool is_linux(std::span<const u8> image);

/// Where the loader's own tables lie in guest memory.
namespace boot_layout {
inline constexpr u64 gdt = 0x1000, page_tables = 0x2000, information = 0x9000, cmdline = 0xa000, cmdline_max = 0x10000,
                     module_strings = 0x1b000, low_end = 0x9fc00, high_begin = 0x10'0000;
}

/// Flat segments, as both protocols want them; long mode has identity tables for the first 4 GiB.
void enter_protected_mode(GuestMemory& memory, GuestExecution& execution, u64 entry);
void enter_long_mode(GuestMemory& memory, GuestExecution& execution, u64 entry);

/// Little-endian fields of an image. Reading beyond the end gives 0; has() tells.
struct ImageReader {
  std::span<const u8> bytes;

  bool has(u64 offset, u64 size) const { return offset <= bytes.size() && size <= bytes.size() - offset; }
  u64 get(u64 offset, unsigned size) const {
    u64 value = 0;
    for (unsigned i = 0; i < size && has(offset, size); ++i) value |= u64{bytes[offset + i]} << (8 * i);
    return value;
  }
};

}  // namespace bunshin::vmm
