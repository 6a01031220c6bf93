// What a Multiboot kernel finds in its memory.

#include "vmm-model/boot/guest_loader.h"
#include "vmx_fixture.h"

namespace bunshin::vmm::vmx {
namespace {

class GuestLoaderTest : public VmxExecutionTest {
 protected:
  static constexpr u64 at = u64{2} << 20;
  static constexpr u32 magic = 0x1bad'b002, has_addresses = 1 << 16, load = 0x10'0000;
  static constexpr std::array<u32, 8> kernel{magic, has_addresses, 0 - magic - has_addresses, load, load, 0, 0, load};

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

  GuestMemory memory{machine, HostPhysical(at), u64{2} << 20};
};

/// Xen, as every kernel that goes by QEMU or GRUB, passes the first word over: it did not see `console=com1`.
TEST_F(GuestLoaderTest, TheFirstWordOfAMultibootCommandLineIsTheKernelsName) {
  start();
  const std::array<u8, 3> initrd{1, 2, 3};
  const std::span<const u8> bytes(reinterpret_cast<const u8*>(kernel.data()), sizeof kernel);
  ASSERT_EQ(load_guest({bytes, initrd, "console=com1", "xen", "dom0 quiet"}, memory, *guest), "");
  const u64 information = guest->registers[rbx];
  EXPECT_EQ(text(word(information + 16)), "xen console=com1");
  EXPECT_EQ(text(word(word(information + 24) + 8)), "dom0 quiet");
  ASSERT_EQ(load_guest({bytes, {}, "", "xen", ""}, memory, *guest), "");
  EXPECT_EQ(text(word(guest->registers[rbx] + 16)), "xen");
}

}  // namespace
}  // namespace bunshin::vmm::vmx
