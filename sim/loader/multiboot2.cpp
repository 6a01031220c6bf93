// Multiboot2 Specification 2.0, i386 boot state.

#include <array>

#include <fmt/format.h>

#include "sim/loader/entry_state.h"
#include "sim/loader/loader.h"

namespace bunshin {

namespace {

constexpr u32 header_magic = 0xe85250d6, loader_magic = 0x36d76289;
constexpr u64 search_bytes = 32768;

/// Header tags (3.1.3 to 3.1.12).
enum class HeaderTag : u16 {
  End = 0,
  InformationRequest = 1,
  Addresses = 2,
  Entry = 3,
  Console = 4,
  Framebuffer = 5,
  ModuleAlign = 6,
  EfiBootServices = 7,
  EntryEfi32 = 8,
  EntryEfi64 = 9,
  Relocatable = 10
};

struct Header {
  std::optional<u64> addresses;  ///< offset of the tag
  std::optional<u32> entry;
};

Header parse_header(const ImageFile& image, u64 at) {
  Header header;
  const u32 length = image.get<u32>(at + 8, "Multiboot2 header");
  if (image.get<u32>(at + 4, "Multiboot2 header") != 0) image.fail("its Multiboot2 header is not for i386");
  image.slice(at, length, "Multiboot2 header");
  u64 tag = at + 16;
  while (tag + 8 <= at + length) {
    const auto type = static_cast<HeaderTag>(image.get<u16>(tag, "Multiboot2 tag"));
    const bool optional = (image.get<u16>(tag + 2, "Multiboot2 tag") & 1) != 0;
    const u32 size = image.get<u32>(tag + 4, "Multiboot2 tag");
    if (size < 8 || size > at + length - tag)
      image.fail(fmt::format("its Multiboot2 tag at {:#x} has size {}", tag, size));
    switch (type) {
      case HeaderTag::End: return header;
      case HeaderTag::Addresses: header.addresses = tag; break;
      case HeaderTag::Entry: header.entry = image.get<u32>(tag + 8, "Multiboot2 entry address"); break;
      case HeaderTag::InformationRequest:
      case HeaderTag::Console:
      case HeaderTag::Framebuffer:
      case HeaderTag::ModuleAlign:
      case HeaderTag::EfiBootServices:
      case HeaderTag::EntryEfi32:
      case HeaderTag::EntryEfi64:
      case HeaderTag::Relocatable: break;
      default:
        if (!optional) {
          image.fail(fmt::format("its Multiboot2 header requires the unknown tag {}", static_cast<unsigned>(type)));
        }
    }
    tag += (u64{size} + 7) & ~u64{7};
  }
  image.fail("its Multiboot2 header has no end tag");
}

struct Placed {
  u64 entry = 0;
  u64 end = 0;
};

Placed load_by_addresses(const BootContext& c, u64 header_offset, const Header& header) {
  const auto word = [&](u64 offset) { return c.image.get<u32>(*header.addresses + offset, "Multiboot2 address tag"); };
  const u32 header_address = word(8), load_address = word(12), load_end = word(16), bss_end = word(20);
  if (!header.entry) c.image.fail("its Multiboot2 header gives load addresses but no entry address");
  // load_addr = 0xFFFFFFFF: the file's beginning is loaded too.
  const u64 begin = load_address == 0xffffffff ? u64{header_address} - header_offset : load_address;
  if (begin > header_address || header_address - begin > header_offset) {
    c.image.fail(
        fmt::format("its Multiboot2 header puts load_addr {:#x} where the file has nothing (header_addr {:#x})",
                    load_address, header_address));
  }
  const u64 offset = header_offset - (header_address - begin);
  if (load_end != 0 && load_end < begin) {
    c.image.fail(fmt::format("its Multiboot2 load_end_addr {:#x} lies before the image {:#x}", load_end, begin));
  }
  const u64 length = load_end == 0 ? c.image.size() - offset : load_end - begin;
  if (bss_end != 0 && bss_end < begin + length) {
    c.image.fail(fmt::format("its Multiboot2 bss_end_addr {:#x} lies within the loaded image", bss_end));
  }
  const u64 size = bss_end == 0 ? length : bss_end - begin;
  const std::span<const u8> bytes = c.image.slice(offset, length, "Multiboot2 image");
  c.memory.claim({begin, size}, c.image.name(), "kernel");
  c.memory.write(begin, bytes);
  return {*header.entry, begin + size};
}

Placed load_image(const BootContext& c, u64 header_offset, const Header& header) {
  if (header.addresses) return load_by_addresses(c, header_offset, header);
  if (!ElfFile::is_elf(c.image))
    c.image.fail("has a Multiboot2 header without addresses and is not an ELF file either");
  const ElfFile elf(c.image);
  const u64 end = elf.load(c.memory);
  return {header.entry ? *header.entry : elf.physical_entry(), end};
}

/// The information list (3.6): tags of {type, size, payload}, each 8-byte aligned.
class TagList {
 public:
  TagList() { append_word(0), append_word(0); }

  void begin(u32 type) {
    start_ = bytes_.size();
    append_word(type);
    append_word(0);
  }
  void append_word(u32 v) { append(&v, sizeof v); }
  void append_long(u64 v) { append(&v, sizeof v); }
  void append_byte(u8 v) { bytes_.push_back(v); }
  void append_text(const std::string& text) { append(text.c_str(), text.size() + 1); }
  void append(const void* data, std::size_t size) {
    const auto* first = static_cast<const u8*>(data);
    bytes_.insert(bytes_.end(), first, first + size);
  }
  void end() {
    put_word(start_ + 4, static_cast<u32>(bytes_.size() - start_));
    bytes_.resize((bytes_.size() + 7) & ~std::size_t{7});
  }
  const std::vector<u8>& finish() {
    begin(0);
    end();
    put_word(0, static_cast<u32>(bytes_.size()));
    return bytes_;
  }

 private:
  void put_word(std::size_t at, u32 v) { std::memcpy(bytes_.data() + at, &v, sizeof v); }

  std::vector<u8> bytes_;
  std::size_t start_ = 0;
};

void append_memory(const BootContext& c, TagList& tags) {
  tags.begin(4);
  tags.append_word(BootMemory::low_end / 1024);
  tags.append_word(static_cast<u32>((c.memory.memory().low_size() - BootMemory::high_begin) / 1024));
  tags.end();
  tags.begin(6);
  tags.append_word(24);
  tags.append_word(0);
  for (const MapEntry& entry : c.memory.map()) {
    tags.append_long(entry.base);
    tags.append_long(entry.size);
    tags.append_word(entry.type);
    tags.append_word(0);
  }
  tags.end();
}

void append_screen(TagList& tags) {
  constexpr u8 ega_text = 2;
  tags.begin(8);
  tags.append_long(0xb8000);
  tags.append_word(160);
  tags.append_word(80);
  tags.append_word(25);
  tags.append_byte(16);
  tags.append_byte(ega_text);
  tags.append_byte(0);
  tags.append_byte(0);
  tags.end();
}

void append_rsdp(const BootContext& c, TagList& tags) {
  constexpr std::size_t version1_size = 20, version2_size = 36;
  std::array<u8, version2_size> rsdp{};
  if (c.rsdp == 0 || !c.memory.memory().read(HostPhysical(c.rsdp), rsdp)) return;
  const bool version2 = rsdp[15] >= 2;
  tags.begin(version2 ? 15 : 14);
  tags.append(rsdp.data(), version2 ? version2_size : version1_size);
  tags.end();
}

}  // namespace

std::optional<u64> find_multiboot2_header(const ImageFile& image) {
  for (u64 at = 0; at + 16 <= image.size() && at + 16 <= search_bytes; at += 8) {
    if (image.get<u32>(at, "header") != header_magic) continue;
    u32 sum = 0;
    for (u64 word = 0; word < 4; ++word) sum += image.get<u32>(at + 4 * word, "header");
    if (sum == 0) return at;
  }
  return std::nullopt;
}

LoadedGuest load_multiboot2(const BootContext& c) {
  const std::optional<u64> at = find_multiboot2_header(c.image);
  if (!at) c.image.fail("has no valid Multiboot2 header in its first 32 KiB");
  const Header header = parse_header(c.image, *at);
  const Placed kernel = load_image(c, *at, header);

  TagList tags;
  tags.begin(1);
  tags.append_text(c.files.cmdline);
  tags.end();
  tags.begin(2);
  tags.append_text("bunshin");
  tags.end();
  for (const LoadedModule& module : load_modules(c, kernel.end)) {
    tags.begin(3);
    tags.append_word(static_cast<u32>(module.begin));
    tags.append_word(static_cast<u32>(module.end));
    tags.append_text(module.text);
    tags.end();
  }
  append_memory(c, tags);
  append_screen(tags);
  append_rsdp(c, tags);
  const std::vector<u8>& bytes = tags.finish();
  const u64 address = c.memory.place_table(bytes.size(), "Multiboot2 information");
  c.memory.write(address, bytes);

  enter_protected_mode(c.state, c.memory, kernel.entry);
  c.state.gpr[RAX] = loader_magic;
  c.state.gpr[RBX] = address;
  return {"Multiboot2", kernel.entry};
}

}  // namespace bunshin
