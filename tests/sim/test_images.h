#pragma once

// Small valid kernels of every kind, in which every byte is needed.

#include <string>
#include <vector>

#include "sim/loader/image_file.h"

namespace bunshin::test_images {

ImageFile linux_64();
ImageFile linux_32();
ImageFile elf_32();
ImageFile elf_64();
ImageFile pvh();
ImageFile multiboot_elf();
ImageFile multiboot_addresses();
ImageFile multiboot2();

/// Where each of them is entered and where its one segment or kernel lies.
inline constexpr u64 load_address = 0x100000;
inline constexpr u64 elf_entry = load_address + 0x10;
inline constexpr u64 multiboot_entry = load_address + 0x40;

}  // namespace bunshin::test_images
