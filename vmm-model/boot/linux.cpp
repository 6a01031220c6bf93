// Linux/x86 boot protocol 2.12 and later, 64-bit entry, or 32-bit for kernels without (Documentation/arch/x86/boot.rst,
// zero-page.rst of the kernel).

#include <algorithm>

#include "devices/acpi_tables.h"
#include "vmm-model/boot/guest_loader.h"

namespace bunshin::vmm {

namespace {

/// Offsets within the file and, because the header keeps its place, within struct boot_params.
namespace field {
constexpr u64 acpi_rsdp_addr = 0x070, e820_entries = 0x1e8, setup_sects = 0x1f1, syssize = 0x1f4, boot_flag = 0x1fe,
              jump = 0x200, header = 0x202, version = 0x206, type_of_loader = 0x210, code32_start = 0x214,
              ramdisk_image = 0x218, ramdisk_size = 0x21c, cmd_line_ptr = 0x228, initrd_addr_max = 0x22c,
              xloadflags = 0x236, cmdline_size = 0x238, pref_address = 0x258, init_size = 0x260, e820_table = 0x2d0;
}
constexpr u32 header_magic = 0x53726448;  // "HdrS"
constexpr u64 has_entry64 = 1, entry64_offset = 0x200, params = boot_layout::information;

void put(GuestMemory& memory, u64 offset, unsigned size, u64 value) {
  memory.store(GuestPhysical(params + offset), size, value);
}

void put_memory_map(GuestMemory& memory) {
  constexpr u64 usable = 1, reserved = 2, ecam = 0xe000'0000, ecam_bytes = u64{256} << 20, four_gib = u64{1} << 32;
  unsigned count = 0;
  const auto add = [&](u64 base, u64 size, u64 type) {
    if (size == 0) return;
    const u64 at = field::e820_table + 20 * count++;
    put(memory, at, 8, base);
    put(memory, at + 8, 8, size);
    put(memory, at + 16, 4, type);
  };
  add(0, boot_layout::low_end, usable);
  add(boot_layout::low_end, 0xa0000 - boot_layout::low_end, reserved);
  add(0xe0000, 0x20000, reserved);
  add(boot_layout::high_begin, memory.low_size() - boot_layout::high_begin, usable);
  add(ecam, ecam_bytes, reserved);
  add(four_gib, memory.high_size(), usable);
  put(memory, field::e820_entries, 1, count);
}

/// 80x25 colour text, cursor at the top.
void put_screen_info(GuestMemory& memory) {
  put(memory, 0x02, 2, std::min<u64>(memory.low_size() / 1024 - 1024, 0xffff));
  put(memory, 0x06, 1, 3);
  put(memory, 0x07, 1, 80);
  put(memory, 0x0a, 2, 3);
  put(memory, 0x0e, 1, 25);
  put(memory, 0x0f, 1, 1);
  put(memory, 0x10, 2, 16);
}

void put_string(GuestMemory& memory, u64 address, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    memory.store(GuestPhysical(address + i), 1, static_cast<u8>(text[i]));
  }
  memory.store(GuestPhysical(address + text.size()), 1, 0);
}

/// One behind the other (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).
std::string_view place_initrds(const GuestImage& image, const ImageReader& kernel, u64 kernel_end,
                               GuestMemory& memory) {
  if (image.initrds.empty()) return {};
  u64 size = 0;
  for (const GuestModule& initrd : image.initrds) {
    if (!initrd.arguments.empty()) return "a RAM disk of Linux has no arguments";
    size = ((size + 3) & ~u64{3}) + initrd.bytes.size();
  }
  const u64 limit = std::min(memory.low_size(), kernel.get(field::initrd_addr_max, 4) + 1);
  if (size > limit) return "its memory does not hold the initrd";
  const u64 begin = (limit - size) & ~(page_size - 1);
  if (begin < kernel_end) return "its memory does not hold kernel and initrd";
  u64 at = begin;
  for (const GuestModule& initrd : image.initrds) {
    at = (at + 3) & ~u64{3};
    if (!memory.write(GuestPhysical(at), initrd.bytes)) return "its memory does not hold kernel and initrd";
    at += initrd.bytes.size();
  }
  put(memory, field::ramdisk_image, 4, begin);
  put(memory, field::ramdisk_size, 4, size);
  return {};
}

std::string_view check(const ImageReader& kernel) {
  if (!kernel.has(0, 0x290)) return "its kernel is cut off inside the setup header";
  if (kernel.get(field::version, 2) < 0x20c) return "its Linux kernel is too old (before boot protocol 2.12)";
  return {};
}

}  // namespace

bool is_linux(std::span<const u8> image) {
  const ImageReader kernel{image};
  return kernel.get(field::boot_flag, 2) == 0xaa55 && kernel.get(field::header, 4) == header_magic;
}

std::string_view load_linux(const GuestImage& image, GuestMemory& memory, GuestExecution& execution) {
  const ImageReader kernel{image.kernel};
  if (const std::string_view problem = check(kernel); !problem.empty()) return problem;
  const u64 sectors = kernel.get(field::setup_sects, 1);
  const u64 setup = ((sectors == 0 ? 4 : sectors) + 1) * 512;
  if (setup >= image.kernel.size()) return "its kernel is cut off behind the setup code";
  const std::span<const u8> code = image.kernel.subspan(setup);
  if (kernel.get(field::syssize, 4) * 16 > code.size() + 15) return "its kernel is shorter than its header says";
  const u64 load = kernel.get(field::pref_address, 8);
  const u64 needed = std::max<u64>(code.size(), kernel.get(field::init_size, 4));
  if (load < boot_layout::high_begin || !memory.contains(GuestPhysical(load), needed) ||
      !memory.write(GuestPhysical(load), code)) {
    return "its memory does not hold the kernel";
  }
  if (image.cmdline.size() > kernel.get(field::cmdline_size, 4))
    return "its command line is longer than the kernel takes";
  memory.clear(GuestPhysical(params), page_size);
  const u64 header_end = std::min<u64>(field::header + kernel.get(field::jump + 1, 1), 0x290);
  memory.write(GuestPhysical(params + field::setup_sects),
               image.kernel.subspan(field::setup_sects, header_end - field::setup_sects));
  put_screen_info(memory);
  put_memory_map(memory);
  put(memory, field::type_of_loader, 1, 0xff);
  put(memory, field::code32_start, 4, load);
  put(memory, field::acpi_rsdp_addr, 8, FirmwareTables::rsdp);
  put_string(memory, boot_layout::cmdline, image.cmdline);
  put(memory, field::cmd_line_ptr, 4, boot_layout::cmdline);
  if (const std::string_view problem = place_initrds(image, kernel, load + needed, memory); !problem.empty())
    return problem;
  if ((kernel.get(field::xloadflags, 2) & has_entry64) != 0) {
    enter_long_mode(memory, execution, load + entry64_offset);
  } else {
    enter_protected_mode(memory, execution, load);
  }
  execution.registers[rsi] = params;
  return {};
}

}  // namespace bunshin::vmm
