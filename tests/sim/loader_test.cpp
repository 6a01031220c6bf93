// Boot protocols: where images land, what the guest finds, in which state it starts, and what is refused.

#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/loader/entry_state.h"
#include "sim/loader/loader.h"
#include "tests/sim/test_images.h"

namespace bunshin {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class Loader : public ::testing::Test {
 protected:
  LoadedGuest load(const ImageFile& image) { return load_guest(files, image, boot, 0xe0000, state); }
  std::string error_of(const ImageFile& image) {
    try {
      load(image);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "no error";
  }
  template <class T>
  T peek(u64 address) {
    T value{};
    EXPECT_TRUE(memory.read(HostPhysical(address), {reinterpret_cast<u8*>(&value), sizeof value}));
    return value;
  }
  std::string string_at(u64 address) {
    std::string text;
    while (const char c = peek<char>(address + text.size())) text += c;
    return text;
  }

  PhysicalMemory memory{u64{64} << 20};
  BootMemory boot{memory, {{0xe0000, 0x10000}, {0x3000000, 0x1000}}};
  CpuState state;
  GuestFiles files;
};

ImageFile changed(const ImageFile& image, std::size_t at, u32 value) {
  std::vector<u8> bytes(image.bytes().begin(), image.bytes().end());
  std::memcpy(bytes.data() + at, &value, sizeof value);
  return {image.name(), bytes};
}

TEST_F(Loader, LinuxIsEnteredIn64BitMode) {
  const LoadedGuest guest = load(test_images::linux_64());
  EXPECT_EQ(guest.entry, test_images::load_address + 0x200);
  EXPECT_EQ(state.rip, guest.entry);
  EXPECT_TRUE(state.code64());
  EXPECT_TRUE(state.paging());
  EXPECT_EQ(state.segment(Seg::CS).selector, 0x10);
  EXPECT_EQ(state.segment(Seg::SS).selector, 0x18);
  EXPECT_EQ(peek<u64>(test_images::load_address + 0x3f8), 0x1122334455667788u);
}

TEST_F(Loader, LinuxWithout64BitEntryIsEnteredInProtectedMode) {
  load(test_images::linux_32());
  EXPECT_EQ(state.rip, test_images::load_address);
  EXPECT_FALSE(state.paging());
  EXPECT_TRUE(state.protected_mode());
  EXPECT_TRUE(state.segment(Seg::CS).is_big());
}

TEST_F(Loader, LinuxFindsItsParameters) {
  files.cmdline = "console=ttyS0 quiet";
  load(test_images::linux_64());
  const u64 params = state.gpr[RSI];
  EXPECT_EQ(peek<u32>(params + 0x202), 0x53726448u);
  EXPECT_EQ(peek<u8>(params + 0x210), 0xff);
  EXPECT_EQ(peek<u64>(params + 0x070), 0xe0000u);
  EXPECT_EQ(string_at(peek<u32>(params + 0x228)), files.cmdline);
  EXPECT_EQ(peek<u8>(params + 0x1e8), boot.map().size());
}

TEST_F(Loader, IdentityTablesMapFourGib) {
  load(test_images::linux_64());
  const u64 pdpt = peek<u64>(state.cr3) & ~u64{0xfff};
  const u64 last_directory = peek<u64>(pdpt + 24) & ~u64{0xfff};
  EXPECT_EQ(peek<u64>(last_directory + 511 * 8), 0xffe00083u);
}

TEST_F(Loader, LinuxMovesARelocatableKernelThatWantsMoreRamThanThereIs) {
  const LoadedGuest guest = load(changed(test_images::linux_64(), 0x258, 0x40000000));
  EXPECT_EQ(guest.entry, 0x200200u);
}

TEST_F(Loader, MapKeepsReservedRangesOut) {
  u64 end = 0;
  for (const MapEntry& e : boot.map()) {
    EXPECT_GE(e.base, end);
    end = e.base + e.size;
    if (e.type == MapEntry::usable) {
      EXPECT_FALSE(e.base <= 0xe0000 && 0xe0000 < end);
      EXPECT_FALSE(e.base <= 0x3000000 && 0x3000000 < end);
    }
  }
  EXPECT_EQ(end, u64{64} << 20);
}

TEST_F(Loader, MultibootElfEntryIsPhysical) {
  const LoadedGuest guest = load(test_images::multiboot_elf());
  EXPECT_EQ(guest.protocol, "Multiboot");
  EXPECT_EQ(guest.entry, test_images::elf_entry);
  EXPECT_EQ(state.gpr[RAX], 0x2badb002u);
}

TEST_F(Loader, MultibootTellsCommandLineAndMap) {
  files.kernel = "/some/where/kernel.flat";
  files.cmdline = "a b";
  load(test_images::multiboot_addresses());
  const u64 info = state.gpr[RBX];
  EXPECT_EQ(peek<u32>(info) & 0x4d, 0x4du);
  EXPECT_EQ(string_at(peek<u32>(info + 16)), "kernel.flat a b");
  EXPECT_EQ(peek<u32>(info + 44), boot.map().size() * 24);
  EXPECT_EQ(peek<u32>(peek<u32>(info + 48)), 20u);
}

TEST_F(Loader, MultibootModulesLieBehindTheKernel) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "bunshin module.bin";
  std::ofstream(file) << "payload";
  files.initrd = {file.string() + " x y", file.string()};
  load(test_images::multiboot_addresses());
  std::filesystem::remove(file);
  const u64 info = state.gpr[RBX];
  ASSERT_EQ(peek<u32>(info + 20), 2u);
  const u64 list = peek<u32>(info + 24);
  EXPECT_EQ(peek<u32>(list), test_images::load_address + 0x1000);
  EXPECT_EQ(peek<u32>(list + 4), test_images::load_address + 0x1007);
  EXPECT_EQ(string_at(peek<u32>(list + 8)), "bunshin module.bin x y");
  EXPECT_EQ(peek<u32>(list + 16), test_images::load_address + 0x2000);
}

TEST_F(Loader, Multiboot2IsEnteredWithItsMagic) {
  const LoadedGuest guest = load(test_images::multiboot2());
  EXPECT_EQ(guest.protocol, "Multiboot2");
  EXPECT_EQ(guest.entry, test_images::multiboot_entry);
  EXPECT_EQ(state.gpr[RAX], 0x36d76289u);
  EXPECT_GT(peek<u32>(state.gpr[RBX]), 8u);
}

TEST_F(Loader, PvhFollowsItsNote) {
  const LoadedGuest guest = load(test_images::pvh());
  EXPECT_EQ(guest.protocol, "PVH");
  EXPECT_EQ(guest.entry, test_images::multiboot_entry);
  EXPECT_EQ(peek<u32>(state.gpr[RBX]), 0x336ec578u);
  EXPECT_EQ(peek<u64>(state.gpr[RBX] + 32), 0xe0000u);
}

TEST_F(Loader, PlainElfIsEnteredInTheModeOfItsClass) {
  EXPECT_EQ(load(test_images::elf_32()).protocol, "ELF, 32-bit");
  EXPECT_FALSE(state.paging());
}

TEST_F(Loader, PlainElf64IsEnteredInLongMode) {
  EXPECT_EQ(load(test_images::elf_64()).protocol, "ELF, 64-bit");
  EXPECT_TRUE(state.code64());
  EXPECT_NE(state.gpr[RSP], 0u);
}

TEST_F(Loader, RefusesSegmentsWhereThereIsNoRam) {
  EXPECT_THAT(error_of(changed(test_images::elf_32(), 64, 0xfffff000)), HasSubstr("there is no RAM"));
  EXPECT_THAT(error_of(changed(test_images::elf_32(), 72, 0xffffffff)), StartsWith("elf32: "));
}

TEST_F(Loader, RefusesSegmentsOverFirmwareTables) {
  EXPECT_THAT(error_of(changed(test_images::elf_32(), 64, 0xe0000)), HasSubstr("overlaps the"));
}

TEST_F(Loader, MultibootInformationLeavesTheLowestPagesToTheKernel) {
  load(test_images::multiboot_elf());
  EXPECT_EQ(state.gpr[RBX], 0x9000u);
  EXPECT_GE(peek<u32>(state.gpr[RBX] + 16), 0x9000u);
  EXPECT_GE(state.gdtr.base, 0x9000u);
}

TEST_F(Loader, LeavesOutFileHeadersBelowOneMib) {
  const auto with_entry = [](u32 offset) {
    const ImageFile moved = changed(changed(test_images::elf_32(), 56, 0), 64, 0xff000);
    return changed(moved, 24, 0xc0100000 + offset);
  };
  EXPECT_EQ(load(with_entry(0x1010)).entry, 0x100010u);
  EXPECT_THAT(error_of(with_entry(0x10)), HasSubstr("overlaps the"));
}

TEST_F(Loader, RefusesWhatIsNoKernel) {
  EXPECT_THAT(error_of({"text", std::vector<u8>(5000, 'a')}), HasSubstr("not a kernel that any loader knows"));
  EXPECT_THAT(error_of({"empty", {}}), HasSubstr("is empty"));
  EXPECT_THAT(error_of({"k.gz", {0x1f, 0x8b, 8}}), HasSubstr("compressed with gzip"));
  files.kernel = "/nonexistent/kernel";
  EXPECT_THROW(load_guest(files, boot, 0, state), std::runtime_error);
}

TEST_F(Loader, RefusesACommandLineTooLongForTheKernel) {
  files.cmdline.assign(300, 'x');
  EXPECT_THAT(error_of(test_images::linux_64()), HasSubstr("300 characters, this kernel takes 255"));
}

TEST_F(Loader, RefusesAnInitrdThatDoesNotFit) {
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "bunshin-big-initrd";
  std::ofstream(file) << "x";
  std::filesystem::resize_file(file, u64{63} << 20);
  files.initrd = {file.string()};
  EXPECT_THAT(error_of(test_images::linux_64()), HasSubstr("no room for the initrd"));
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace bunshin
