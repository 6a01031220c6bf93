#include "tests/sim/test_images.h"

#include <cstring>

namespace bunshin::test_images {

namespace {

class Bytes {
 public:
  explicit Bytes(std::size_t size) : bytes_(size) {}
  template <class T>
  Bytes& put(std::size_t at, T value) {
    std::memcpy(bytes_.data() + at, &value, sizeof value);
    return *this;
  }
  ImageFile image(const char* name) { return {name, bytes_}; }

 private:
  std::vector<u8> bytes_;
};

Bytes linux_image(u16 version, u16 xloadflags) {
  constexpr std::size_t setup = 2 * 512, kernel = 0x400;
  Bytes b(setup + kernel);
  b.put<u8>(0x1f1, 1).put<u32>(0x1f4, kernel / 16).put<u16>(0x1fe, 0xaa55).put<u16>(0x200, 0x66eb);
  b.put<u32>(0x202, 0x53726448).put<u16>(0x206, version).put<u8>(0x211, 1).put<u32>(0x214, 0x100000);
  b.put<u32>(0x22c, 0x7fffffff).put<u32>(0x230, 0x200000).put<u8>(0x234, 1).put<u16>(0x236, xloadflags);
  b.put<u32>(0x238, 255).put<u64>(0x258, load_address).put<u32>(0x260, 0x10000);
  b.put<u64>(setup + kernel - 8, 0x1122334455667788);
  return b;
}

constexpr std::size_t elf_payload = 0x60;

Bytes elf32_header(std::size_t headers, std::size_t total) {
  Bytes b(total);
  b.put<u32>(0, 0x464c457f).put<u8>(4, 1).put<u8>(5, 1).put<u8>(6, 1).put<u16>(16, 2).put<u16>(18, 3).put<u32>(20, 1);
  b.put<u32>(24, 0xc0100010).put<u32>(28, 52).put<u16>(40, 52).put<u16>(42, 32).put<u16>(44, static_cast<u16>(headers));
  const u32 data = static_cast<u32>(52 + 32 * headers);
  b.put<u32>(52, 1).put<u32>(56, data).put<u32>(60, 0xc0100000).put<u32>(64, load_address);
  b.put<u32>(68, static_cast<u32>(total - data)).put<u32>(72, 0x3000).put<u32>(76, 5);
  return b;
}

}  // namespace

ImageFile linux_64() { return linux_image(0x20f, 1).image("linux64"); }
ImageFile linux_32() { return linux_image(0x20b, 0).image("linux32"); }

ImageFile elf_32() { return elf32_header(1, 84 + elf_payload).image("elf32"); }

ImageFile elf_64() {
  Bytes b(120 + elf_payload);
  b.put<u32>(0, 0x464c457f).put<u8>(4, 2).put<u8>(5, 1).put<u8>(6, 1).put<u16>(16, 2).put<u16>(18, 62);
  b.put<u64>(24, elf_entry).put<u64>(32, 64).put<u16>(52, 64).put<u16>(54, 56).put<u16>(56, 1);
  b.put<u32>(64, 1).put<u32>(68, 5).put<u64>(72, 120).put<u64>(80, load_address).put<u64>(88, load_address);
  b.put<u64>(96, elf_payload).put<u64>(104, 0x3000);
  return b.image("elf64");
}

ImageFile pvh() {
  constexpr std::size_t data = 52 + 2 * 32;
  Bytes b = elf32_header(2, data + elf_payload);
  b.put<u32>(84, 4).put<u32>(88, data).put<u32>(100, 20).put<u32>(104, 20);
  b.put<u32>(data, 4).put<u32>(data + 4, 4).put<u32>(data + 8, 18).put<u32>(data + 12, 0x006e6558);
  b.put<u32>(data + 16, static_cast<u32>(multiboot_entry));
  return b.image("pvh");
}

ImageFile multiboot_elf() {
  Bytes b = elf32_header(1, 84 + elf_payload);
  b.put<u32>(84, 0x1badb002).put<u32>(88, 3).put<u32>(92, 0u - 0x1badb002 - 3);
  return b.image("multiboot-elf");
}

ImageFile multiboot_addresses() {
  Bytes b(0x80);
  b.put<u32>(0x20, 0x1badb002).put<u32>(0x24, 0x10003).put<u32>(0x28, 0u - 0x1badb002 - 0x10003);
  b.put<u32>(0x2c, load_address + 0x20).put<u32>(0x30, load_address).put<u32>(0x34, load_address + 0x80);
  b.put<u32>(0x38, load_address + 0x1000).put<u32>(0x3c, static_cast<u32>(multiboot_entry));
  return b.image("multiboot");
}

ImageFile multiboot2() {
  Bytes b(0x80);
  constexpr u32 length = 16 + 24 + 16 + 8;
  b.put<u32>(0, 0xe85250d6).put<u32>(8, length).put<u32>(12, 0u - 0xe85250d6 - length);
  b.put<u16>(16, 2).put<u32>(20, 24).put<u32>(24, load_address).put<u32>(28, load_address);
  b.put<u32>(32, load_address + 0x80).put<u32>(36, load_address + 0x1000);
  b.put<u16>(40, 3).put<u32>(44, 12).put<u32>(48, static_cast<u32>(multiboot_entry));
  b.put<u32>(60, 8);
  return b.image("multiboot2");
}

}  // namespace bunshin::test_images
