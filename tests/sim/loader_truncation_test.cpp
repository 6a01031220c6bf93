// Damaged images: every prefix of a valid one is refused, and no damaged byte does worse than be refused.

#include <gtest/gtest.h>

#include "sim/loader/loader.h"
#include "tests/sim/test_images.h"

namespace bunshin {
namespace {

struct Case {
  const char* name;
  ImageFile (*image)();
  const char* protocol;
};

class Damage : public ::testing::TestWithParam<Case> {
 protected:
  void load(const ImageFile& image) {
    BootMemory boot(memory, {});
    CpuState state;
    GuestFiles files;
    files.protocol = GetParam().protocol;
    load_guest(files, image, boot, 0, state);
  }
  PhysicalMemory memory{u64{16} << 20};
};

TEST_P(Damage, WholeImageLoads) { EXPECT_NO_THROW(load(GetParam().image())); }

TEST_P(Damage, EveryPrefixIsRefused) {
  const ImageFile whole = GetParam().image();
  // A Linux header counts the kernel in paragraphs, rounded up: up to 15 bytes at the end need not be there.
  const std::size_t slack = std::string(GetParam().protocol) == "linux" ? 15 : 0;
  for (std::size_t length = 0; length < whole.size() - slack; ++length) {
    const ImageFile part(whole.name(), {whole.bytes().begin(), whole.bytes().begin() + static_cast<long>(length)});
    EXPECT_THROW(load(part), std::runtime_error) << length;
  }
}

TEST_P(Damage, NoDamagedWordCrashes) {
  const ImageFile whole = GetParam().image();
  for (std::size_t at = 0; at + 4 <= whole.size(); ++at) {
    for (const u32 value : {0u, 1u, 0x7fffffffu, 0x80000000u, 0xffffffffu, 0xfffffff0u}) {
      std::vector<u8> bytes(whole.bytes().begin(), whole.bytes().end());
      std::memcpy(bytes.data() + at, &value, sizeof value);
      try {
        load(ImageFile(whole.name(), bytes));
      } catch (const std::runtime_error& e) {
        EXPECT_NE(std::string(e.what()), "");
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Protocols, Damage,
                         ::testing::Values(Case{"linux64", test_images::linux_64, "linux"},
                                           Case{"linux32", test_images::linux_32, "linux"},
                                           Case{"elf32", test_images::elf_32, "elf"},
                                           Case{"elf64", test_images::elf_64, "elf"},
                                           Case{"pvh", test_images::pvh, "pvh"},
                                           Case{"multiboot_elf", test_images::multiboot_elf, "multiboot"},
                                           Case{"multiboot_addresses", test_images::multiboot_addresses, "multiboot"},
                                           Case{"multiboot2", test_images::multiboot2, "multiboot2"}),
                         [](const auto& parameter) { return std::string(parameter.param.name); });

}  // namespace
}  // namespace bunshin
