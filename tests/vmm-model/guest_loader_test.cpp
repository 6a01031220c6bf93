// What a kernel finds in its memory.

#include <algorithm>
#include <string>
#include <vector>

#include "vmm-model/boot/guest_loader.h"
#include "vmm-model/config.h"
#include "vmx_fixture.h"

namespace bunshin::vmm::vmx {
namespace {

class GuestLoaderTest : public VmxExecutionTest {
 protected:
  static constexpr u64 at = u64{2} << 20;
  static constexpr u32 magic = 0x1bad'b002, has_addresses = 1 << 16, load = 0x10'0000;
  static constexpr std::array<u32, 8> kernel{magic, has_addresses, 0 - magic - has_addresses, load, load, 0, 0, load};

  const std::span<const u8> bytes{reinterpret_cast<const u8*>(kernel.data()), sizeof kernel};

  std::string text(u64 address) {
    std::string result;
    for (u64 c = 0; memory.load(GuestPhysical(address), 1, c) && c != 0; ++address) result += static_cast<char>(c);
    return result;
  }
  u64 word(u64 address) {
    u64 value = 0;
    memory.load(GuestPhysical(address), 4, value);
    return value;
  }

  std::string load_with(std::span<const GuestModule> modules) {
    return std::string(load_guest({bytes, modules, "", "k"}, memory, *guest));
  }

  GuestMemory memory{machine, HostPhysical(at), u64{2} << 20};
};

/// Xen, as every kernel that goes by QEMU or GRUB, passes the first word over: it did not see `console=com1`.
TEST_F(GuestLoaderTest, TheFirstWordOfAMultibootCommandLineIsTheKernelsName) {
  start();
  ASSERT_EQ(load_guest({bytes, {}, "console=com1", "xen"}, memory, *guest), "");
  EXPECT_EQ(text(word(guest->registers[rbx] + 16)), "xen console=com1");
  ASSERT_EQ(load_guest({bytes, {}, "", "xen"}, memory, *guest), "");
  EXPECT_EQ(text(word(guest->registers[rbx] + 16)), "xen");
}

/// Xen's dom0 and its RAM disk: only the first was there, so that dom0 had no root file system.
TEST_F(GuestLoaderTest, EveryModuleHasPagesAndAStringOfItsOwn) {
  start();
  const std::vector<u8> first(5000, 1), second{2, 3};
  const std::array<GuestModule, 3> modules{
      {{first, "dom0", "console=hvc0 quiet"}, {second, "disk", ""}, {second, "", "x"}}};
  ASSERT_EQ(load_with(modules), "");
  const u64 information = guest->registers[rbx], list = word(information + 24);
  EXPECT_EQ(word(information + 20), 3u);
  const std::array<std::string, 3> strings{"dom0 console=hvc0 quiet", "disk", " x"};
  u64 next = load + page_size;
  for (unsigned i = 0; i < modules.size(); ++i) {
    const u64 begin = word(list + 16 * i), end = word(list + 16 * i + 4);
    EXPECT_EQ(begin, next);
    ASSERT_EQ(end - begin, modules[i].bytes.size());
    std::vector<u8> there(end - begin);
    ASSERT_TRUE(memory.read(GuestPhysical(begin), there));
    EXPECT_TRUE(std::ranges::equal(there, modules[i].bytes));
    EXPECT_EQ(text(word(list + 16 * i + 8)), strings[i]);
    EXPECT_EQ(word(list + 16 * i + 12), 0u);
    next = (end + page_size - 1) & ~(page_size - 1);
  }
}

/// The list is in the page of the information, which begins with what the memory map must keep.
TEST_F(GuestLoaderTest, AsManyModulesAsAConfigurationNamesLeaveTheRestAsItIs) {
  start();
  const std::array<u8, 1> byte{7};
  std::array<GuestModule, GuestConfig::max_initrds> modules;
  modules.fill({byte, "m", "a"});
  ASSERT_EQ(load_with(modules), "");
  const u64 information = guest->registers[rbx], list = word(information + 24), map = word(information + 48);
  EXPECT_EQ(word(information + 20), modules.size());
  EXPECT_EQ(text(word(information + 16)), "k");
  EXPECT_EQ(word(map), 20u);
  EXPECT_TRUE(map + word(information + 44) <= list || map >= list + 16 * modules.size());
  EXPECT_EQ(text(word(list + 16 * (modules.size() - 1) + 8)), "m a");
}

TEST_F(GuestLoaderTest, ModulesThatDoNotFitAreRefused) {
  start();
  const std::vector<u8> half(u64{600} << 10);
  const std::array<GuestModule, 2> two{{{half, "a", ""}, {half, "b", ""}}};
  EXPECT_EQ(load_with(std::span(two).first(1)), "");
  EXPECT_EQ(load_with(two), "its memory does not hold kernel and initrd");
  const std::string long_text(u64{300} << 10, 'x');
  const std::array<GuestModule, 2> talkative{
      {{std::span(half).first(1), "a", long_text}, {std::span(half).first(1), "b", long_text}}};
  EXPECT_EQ(load_with(std::span(talkative).first(1)), "");
  EXPECT_EQ(load_with(talkative), "the arguments of its initrds are too long");
}

class LinuxLoaderTest : public GuestLoaderTest {
 protected:
  static constexpr u64 begin = 0x10'0000;

  /// As little as the protocol wants: the setup header, a sector of setup code, and a page of kernel.
  std::vector<u8> linux_kernel() {
    std::vector<u8> image(1024 + page_size);
    const auto put = [&image](std::size_t where, u64 value, unsigned size) {
      for (unsigned i = 0; i < size; ++i) image[where + i] = static_cast<u8>(value >> (8 * i));
    };
    put(0x1f1, 1, 1);
    put(0x1fe, 0xaa55, 2);
    put(0x202, 0x5372'6448, 4);
    put(0x206, 0x20c, 2);
    put(0x22c, 0x7fff'ffff, 4);
    put(0x238, 255, 4);
    put(0x258, begin, 8);
    return image;
  }
};

TEST_F(LinuxLoaderTest, RamDisksLieOneBehindTheOther) {
  start();
  const std::vector<u8> image = linux_kernel();
  const std::array<u8, 5> first{1, 2, 3, 4, 5};
  const std::array<u8, 2> second{6, 7};
  const std::array<GuestModule, 2> disks{{{first, "a", ""}, {second, "b", ""}}};
  ASSERT_EQ(load_guest({image, disks, "", "k"}, memory, *guest), "");
  const u64 boot_parameters = guest->registers[rsi];
  ASSERT_EQ(word(boot_parameters + 0x21c), 10u);
  std::array<u8, 10> there{};
  ASSERT_TRUE(memory.read(GuestPhysical(word(boot_parameters + 0x218)), there));
  EXPECT_EQ(there, (std::array<u8, 10>{1, 2, 3, 4, 5, 0, 0, 0, 6, 7}));
}

TEST_F(LinuxLoaderTest, RamDisksThatDoNotFitOrHaveArgumentsAreRefused) {
  start();
  const std::vector<u8> image = linux_kernel(), half(u64{600} << 10);
  std::array<GuestModule, 2> disks{{{half, "a", ""}, {half, "b", ""}}};
  EXPECT_EQ(load_guest({image, disks, "", "k"}, memory, *guest), "its memory does not hold kernel and initrd");
  disks[0].arguments = "x";
  EXPECT_EQ(load_guest({image, disks, "", "k"}, memory, *guest), "a RAM disk of Linux has no arguments");
}

}  // namespace
}  // namespace bunshin::vmm::vmx
