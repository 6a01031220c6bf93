// Multiboot 1 (specification 0.6.96): what our own guests are.

#include <algorithm>

#include "vmm-model/boot/guest_loader.h"
#include "vmm-model/config.h"

namespace bunshin::vmm {

namespace {

constexpr u32 header_magic = 0x1bad'b002, loader_magic = 0x2bad'b002, has_addresses = 1 << 16;
constexpr u64 search_bytes = 8192;
constexpr u64 no_header = ~u64{0};

u64 find_header(const ImageReader& image) {
  for (u64 at = 0; at + 12 <= search_bytes && image.has(at, 12); at += 4) {
    if (image.get(at, 4) != header_magic) continue;
    const u64 sum = image.get(at, 4) + image.get(at + 4, 4) + image.get(at + 8, 4);
    if ((sum & 0xffff'ffff) == 0) return at;
  }
  return no_header;
}

struct Placed {
  std::string_view problem;
  u64 entry = 0;
  u64 end = 0;
};

bool place(GuestMemory& memory, u64 address, std::span<const u8> bytes, u64 size) {
  if (size < bytes.size() || !memory.contains(GuestPhysical(address), size)) return false;
  return memory.write(GuestPhysical(address), bytes) &&
         memory.clear(GuestPhysical(address + bytes.size()), size - bytes.size());
}

/// The header itself says where things go (3.1.3).
Placed place_flat(const ImageReader& image, u64 header, GuestMemory& memory) {
  const u64 header_address = image.get(header + 12, 4), load = image.get(header + 16, 4);
  const u64 load_end = image.get(header + 20, 4), bss_end = image.get(header + 24, 4);
  if (!image.has(header, 32) || load > header_address || header_address - load > header)
    return {"its Multiboot addresses make no sense"};
  const u64 offset = header - (header_address - load);
  const u64 available = image.bytes.size() - offset;
  const u64 bytes = load_end == 0 ? available : load_end - load;
  if (load_end != 0 && (load_end < load || bytes > available))
    return {"its kernel is shorter than its Multiboot header says"};
  const u64 end = std::max(bss_end, load + bytes);
  if (!place(memory, load, image.bytes.subspan(offset, bytes), end - load))
    return {"its memory does not hold the kernel"};
  return {{}, image.get(header + 28, 4), end};
}

/// ELF, 32 or 64 bit.
Placed place_elf(const ImageReader& image, GuestMemory& memory) {
  if (image.get(0, 4) != 0x464c457f) return {"its kernel is neither Linux, nor ELF, nor has it Multiboot addresses"};
  const bool wide = image.get(4, 1) == 2;
  const u64 entry = image.get(24, wide ? 8 : 4);
  const u64 headers = wide ? image.get(32, 8) : image.get(28, 4);
  const u64 size = image.get(wide ? 54 : 42, 2), count = image.get(wide ? 56 : 44, 2);
  if (size < (wide ? 56u : 32u) || !image.has(headers, size * count)) return {"its ELF program headers are cut off"};
  Placed placed{{}, entry, 0};
  for (u64 i = 0; i < count; ++i) {
    const u64 at = headers + i * size;
    if (image.get(at, 4) != 1) continue;  // PT_LOAD
    const unsigned word = wide ? 8 : 4;
    const u64 offset = image.get(at + (wide ? 8 : 4), word), address = image.get(at + (wide ? 24 : 12), word);
    const u64 file_bytes = image.get(at + (wide ? 32 : 16), word), bytes = image.get(at + (wide ? 40 : 20), word);
    if (!image.has(offset, file_bytes)) return {"its kernel is shorter than its ELF header says"};
    if (bytes == 0) continue;
    if (!place(memory, address, image.bytes.subspan(offset, file_bytes), bytes))
      return {"its memory does not hold the kernel"};
    placed.end = std::max(placed.end, address + bytes);
  }
  return placed.end == 0 ? Placed{"its ELF file has nothing to load"} : placed;
}

/// The structure of 3.3: memory sizes, command line, modules, memory map.
struct Information {
  GuestMemory& memory;

  void put(u64 offset, u64 value) { memory.store(GuestPhysical(boot_layout::information + offset), 4, value); }
  /// Where the text ends; a zero stands there.
  u64 put_string(u64 at, std::string_view text) {
    for (const char c : text) memory.store(GuestPhysical(at++), 1, static_cast<u8>(c));
    memory.store(GuestPhysical(at), 1, 0);
    return at;
  }
  /// The kernel's name comes first: kernels take the first word for that, whatever it is.
  void put_command_line(const GuestImage& image) {
    put_words(boot_layout::cmdline, image.kernel_name, image.cmdline);
    put(16, boot_layout::cmdline);
  }
  /// The name, and a blank and the arguments if there are any.
  u64 put_words(u64 at, std::string_view name, std::string_view arguments) {
    at = put_string(at, name);
    return arguments.empty() ? at : put_string(put_string(at, " "), arguments);
  }
};

void put_memory_map(Information& info) {
  constexpr u64 at = boot_layout::information + 0x200;
  unsigned count = 0;
  const auto add = [&](u64 base, u64 size, u64 type) {
    if (size == 0) return;
    const u64 entry = at + 24 * count++;
    info.memory.store(GuestPhysical(entry), 4, 20);
    info.memory.store(GuestPhysical(entry + 4), 8, base);
    info.memory.store(GuestPhysical(entry + 12), 8, size);
    info.memory.store(GuestPhysical(entry + 20), 4, type);
  };
  add(0, boot_layout::low_end, 1);
  add(boot_layout::low_end, 0x10'0000 - boot_layout::low_end, 2);
  add(boot_layout::high_begin, info.memory.low_size() - boot_layout::high_begin, 1);
  add(u64{1} << 32, info.memory.high_size(), 1);
  info.put(44, 24 * count);
  info.put(48, at);
}

/// Their places and strings are 32-bit fields; the list lies behind the memory map.
std::string_view put_modules(Information& info, const GuestImage& image, u64 kernel_end) {
  constexpr u64 list = boot_layout::information + 0x400, entry_bytes = 16;
  static_assert(list + entry_bytes * GuestConfig::max_initrds <= boot_layout::information + page_size);
  if (image.initrds.empty()) return {};
  u64 at = std::max(kernel_end, boot_layout::high_begin), string = boot_layout::module_strings, entry = list;
  for (const GuestModule& module : image.initrds) {
    at = (at + page_size - 1) & ~(page_size - 1);
    const u64 end = at + module.bytes.size();
    if (end < at || end > info.memory.low_size() || !info.memory.write(GuestPhysical(at), module.bytes))
      return "its memory does not hold kernel and initrd";
    if (module.name.size() + module.arguments.size() + 2 > boot_layout::low_end - string)
      return "the arguments of its initrds are too long";
    info.memory.store(GuestPhysical(entry), 4, at);
    info.memory.store(GuestPhysical(entry + 4), 4, end);
    info.memory.store(GuestPhysical(entry + 8), 8, string);
    string = info.put_words(string, module.name, module.arguments) + 1;
    at = end;
    entry += entry_bytes;
  }
  info.put(20, image.initrds.size());
  info.put(24, list);
  return {};
}

}  // namespace

std::string_view load_multiboot(const GuestImage& image, GuestMemory& memory, GuestExecution& execution) {
  const ImageReader kernel{image.kernel};
  const u64 header = find_header(kernel);
  if (header == no_header) return "its kernel is neither Linux nor Multiboot";
  const bool flat = (kernel.get(header + 4, 4) & has_addresses) != 0;
  const Placed placed = flat ? place_flat(kernel, header, memory) : place_elf(kernel, memory);
  if (!placed.problem.empty()) return placed.problem;
  memory.clear(GuestPhysical(boot_layout::information), page_size);
  Information info{memory};
  info.put(0, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6);
  info.put(4, boot_layout::low_end / 1024);
  info.put(8, (memory.low_size() - boot_layout::high_begin) / 1024);
  info.put_command_line(image);
  put_memory_map(info);
  if (const std::string_view problem = put_modules(info, image, placed.end); !problem.empty()) return problem;
  enter_protected_mode(memory, execution, placed.entry);
  execution.registers[rax] = loader_magic;
  execution.registers[rbx] = boot_layout::information;
  return {};
}

}  // namespace bunshin::vmm
