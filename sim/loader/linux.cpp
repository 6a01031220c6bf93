// Linux/x86 boot protocol 2.02 and later (Documentation/arch/x86/boot.rst, zero-page.rst of the kernel).

#include <algorithm>

#include <fmt/format.h>

#include "sim/loader/entry_state.h"
#include "sim/loader/loader.h"

namespace bunshin {

namespace {

/// Offsets within the file and, because the header keeps its place, within struct boot_params.
namespace field {
constexpr u64 screen_info = 0x000, acpi_rsdp_addr = 0x070, ext_ramdisk_image = 0x0c0, ext_ramdisk_size = 0x0c4,
              e820_entries = 0x1e8, setup_sects = 0x1f1, syssize = 0x1f4, boot_flag = 0x1fe, jump = 0x200,
              header = 0x202, version = 0x206, type_of_loader = 0x210, loadflags = 0x211, code32_start = 0x214,
              ramdisk_image = 0x218, ramdisk_size = 0x21c, cmd_line_ptr = 0x228, initrd_addr_max = 0x22c,
              kernel_alignment = 0x230, relocatable_kernel = 0x234, xloadflags = 0x236, cmdline_size = 0x238,
              pref_address = 0x258, init_size = 0x260, e820_table = 0x2d0;
constexpr u64 boot_params_size = 0x1000;
constexpr unsigned e820_max = 128;
}  // namespace field

constexpr u32 header_magic = 0x53726448;  // "HdrS"
constexpr u64 entry64_offset = 0x200;

struct SetupHeader {
  u64 setup_bytes = 0;  ///< boot sector and setup code; the kernel proper follows
  u16 version = 0;
  u32 initrd_addr_max = 0x37ffffff;
  u32 cmdline_size = 255;
  u64 preferred_address = 0x100000;
  u64 init_size = 0;
  u64 alignment = 0;
  bool relocatable = false;
  bool has_64bit_entry = false;
  u64 header_end = 0;
};

SetupHeader parse_header(const ImageFile& image) {
  if (image.get<u16>(field::boot_flag, "boot sector signature") != 0xaa55 ||
      image.get<u32>(field::header, "setup header") != header_magic) {
    image.fail("is not a Linux kernel: no setup header (HdrS)");
  }
  SetupHeader h;
  h.version = image.get<u16>(field::version, "setup header");
  if (h.version < 0x202) {
    image.fail(fmt::format("uses boot protocol {}.{:02}, older than 2.02", h.version >> 8, h.version & 0xff));
  }
  if ((image.get<u8>(field::loadflags, "setup header") & 1) == 0) {
    image.fail("is a zImage, which loads below 1 MiB; only bzImage kernels are supported");
  }
  const u8 sectors = image.get<u8>(field::setup_sects, "setup header");
  h.setup_bytes = (u64{sectors == 0 ? u8{4} : sectors} + 1) * 512;
  h.header_end = field::header + image.get<u8>(field::jump + 1, "setup header");
  if (h.version >= 0x203) h.initrd_addr_max = image.get<u32>(field::initrd_addr_max, "setup header");
  if (h.version >= 0x205) {
    h.relocatable = image.get<u8>(field::relocatable_kernel, "setup header") != 0;
    h.alignment = image.get<u32>(field::kernel_alignment, "setup header");
  }
  if (h.version >= 0x206) h.cmdline_size = image.get<u32>(field::cmdline_size, "setup header");
  if (h.version >= 0x20a) {
    h.preferred_address = image.get<u64>(field::pref_address, "setup header");
    h.init_size = image.get<u32>(field::init_size, "setup header");
  }
  if (h.version >= 0x20c) h.has_64bit_entry = (image.get<u16>(field::xloadflags, "setup header") & 1) != 0;
  return h;
}

std::span<const u8> kernel_bytes(const ImageFile& image, const SetupHeader& h) {
  image.slice(0, h.setup_bytes, "setup code");
  const u64 length = image.size() - h.setup_bytes;
  // Before 2.04 only the low half of syssize was valid.
  u64 expected = image.get<u32>(field::syssize, "setup header");
  if (h.version < 0x204) expected &= 0xffff;
  if (expected == 0 || expected * 16 > length + 15) {
    image.fail(
        fmt::format("truncated: its header promises {} bytes of kernel, the file has {}", expected * 16, length));
  }
  if (h.has_64bit_entry && length <= entry64_offset) image.fail("is too short to hold its 64-bit entry point");
  return image.slice(h.setup_bytes, length, "kernel");
}

u64 place_kernel(const BootContext& c, const SetupHeader& h, u64 size) {
  const u64 needed = std::max(size, h.init_size);
  const u64 low = c.memory.memory().low_size();
  const bool fits = h.preferred_address <= low && needed <= low - h.preferred_address;
  if (fits || !h.relocatable) {
    c.memory.claim({h.preferred_address, needed}, c.image.name(), "kernel");
    return h.preferred_address;
  }
  if (h.alignment == 0 || (h.alignment & (h.alignment - 1)) != 0 || h.alignment > (u64{1} << 30)) {
    c.image.fail(fmt::format("its kernel_alignment {:#x} is not a sensible power of two", h.alignment));
  }
  return c.memory.place_low(needed, h.alignment, BootMemory::high_begin, low, c.image.name(), "kernel");
}

void load_initrd(const BootContext& c, const SetupHeader& h, u64 params) {
  std::vector<u8> all;
  for (const std::string& name : c.files.initrd) {
    const ImageFile file = ImageFile::open(name);
    if (file.size() == 0) file.fail("the initrd is empty");
    all.resize((all.size() + 3) & ~std::size_t{3});
    all.insert(all.end(), file.bytes().begin(), file.bytes().end());
  }
  if (all.empty()) return;
  const u64 limit = u64{h.initrd_addr_max} + 1;
  const u64 at =
      c.memory.place_high(all.size(), page_size, BootMemory::high_begin, limit, c.files.initrd.front(), "initrd");
  c.memory.write(at, all);
  c.memory.put(params + field::ramdisk_image, static_cast<u32>(at));
  c.memory.put(params + field::ramdisk_size, static_cast<u32>(all.size()));
  c.memory.put(params + field::ext_ramdisk_image, static_cast<u32>(at >> 32));
  c.memory.put(params + field::ext_ramdisk_size, static_cast<u32>(u64{all.size()} >> 32));
}

/// 80x25 colour text, cursor at the top.
void put_screen_info(const BootContext& c, u64 params) {
  const u64 base = params + field::screen_info;
  c.memory.put(base + 0x02, static_cast<u16>(std::min<u64>(c.memory.memory().low_size() / 1024 - 1024, 0xffff)));
  c.memory.put<u8>(base + 0x06, 3);    // orig_video_mode
  c.memory.put<u8>(base + 0x07, 80);   // orig_video_cols
  c.memory.put<u16>(base + 0x0a, 3);   // orig_video_ega_bx: EGA or better, colour, 256 KiB
  c.memory.put<u8>(base + 0x0e, 25);   // orig_video_lines
  c.memory.put<u8>(base + 0x0f, 1);    // orig_video_isVGA: VGA text
  c.memory.put<u16>(base + 0x10, 16);  // orig_video_points
}

void put_memory_map(const BootContext& c, u64 params) {
  const std::vector<MapEntry> map = c.memory.map();
  const std::size_t count = std::min<std::size_t>(map.size(), field::e820_max);
  for (std::size_t i = 0; i < count; ++i) {
    const u64 at = params + field::e820_table + 20 * i;
    c.memory.put(at, map[i].base);
    c.memory.put(at + 8, map[i].size);
    c.memory.put(at + 16, map[i].type);
  }
  c.memory.put(params + field::e820_entries, static_cast<u8>(count));
}

u64 build_boot_params(const BootContext& c, const SetupHeader& h, u64 load_address) {
  const u64 params = c.memory.place_table(field::boot_params_size, "boot parameters");
  const u64 end = std::clamp<u64>(h.header_end, field::version, 0x290);
  c.memory.write(params + field::setup_sects,
                 c.image.slice(field::setup_sects, end - field::setup_sects, "setup header"));
  put_screen_info(c, params);
  put_memory_map(c, params);
  c.memory.put<u8>(params + field::type_of_loader, 0xff);
  c.memory.put(params + field::code32_start, static_cast<u32>(load_address));
  c.memory.put(params + field::acpi_rsdp_addr, c.rsdp);
  if (c.files.cmdline.size() > h.cmdline_size) {
    c.image.fail(
        fmt::format("guest.cmdline has {} characters, this kernel takes {}", c.files.cmdline.size(), h.cmdline_size));
  }
  c.memory.put(params + field::cmd_line_ptr, static_cast<u32>(c.memory.place_string(c.files.cmdline, "command line")));
  load_initrd(c, h, params);
  return params;
}

}  // namespace

bool is_linux(const ImageFile& image) {
  return image.size() >= field::version + 2 && image.get<u16>(field::boot_flag, "boot flag") == 0xaa55 &&
         image.get<u32>(field::header, "header") == header_magic;
}

LoadedGuest load_linux(const BootContext& c) {
  const SetupHeader h = parse_header(c.image);
  const std::span<const u8> kernel = kernel_bytes(c.image, h);
  const u64 load_address = place_kernel(c, h, kernel.size());
  c.memory.write(load_address, kernel);
  const u64 params = build_boot_params(c, h, load_address);
  const std::string version = fmt::format("protocol {}.{:02}", h.version >> 8, h.version & 0xff);
  if (h.has_64bit_entry) {
    const u64 entry = load_address + entry64_offset;
    enter_long_mode(c.state, c.memory, entry);
    c.state.gpr[RSI] = params;
    return {"Linux, 64-bit " + version, entry};
  }
  enter_protected_mode(c.state, c.memory, load_address);
  c.state.gpr[RSI] = params;
  return {"Linux, 32-bit " + version, load_address};
}

}  // namespace bunshin
