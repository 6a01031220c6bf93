#include "devices/fw_cfg.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/devices/dma_host.h"

namespace bunshin::test {
namespace {

constexpr u32 be32(u32 v) { return __builtin_bswap32(v); }
constexpr u64 be64(u64 v) { return __builtin_bswap64(v); }

struct FwCfgTest : testing::Test {
  std::string read(u16 key, unsigned count) {
    device.write(0, 0, 2, key);
    std::string text;
    for (unsigned i = 0; i < count; ++i) text.push_back(static_cast<char>(device.read(0, 1, 1)));
    return text;
  }
  u32 dma(u32 control, u32 length, u64 address) {
    host.put(0x100, be32(control));
    host.put(0x104, be32(length));
    host.put(0x108, be64(address));
    device.write(1, 0, 4, 0);
    device.write(1, 4, 4, be32(0x100));
    return be32(host.get<u32>(0x100));
  }
  DmaHost host;
  FwCfg device{host};
};

TEST_F(FwCfgTest, SignatureIsQemu) { EXPECT_EQ(read(FwCfg::Signature, 4), "QEMU"); }

TEST_F(FwCfgTest, IdAnnouncesDma) { EXPECT_EQ(read(FwCfg::Id, 1)[0], 3); }

TEST_F(FwCfgTest, DmaPortShowsItsSignature) {
  EXPECT_EQ(device.read(1, 0, 4), 0x554d4551u);  // "QEMU" in memory order
  EXPECT_EQ(device.read(1, 4, 4), 0x47464320u);  // " CFG"
}

TEST_F(FwCfgTest, ValuesAreLittleEndianAndEndInZeros) {
  device.add_value(FwCfg::NbCpus, 2, 4);
  EXPECT_EQ(read(FwCfg::NbCpus, 3), std::string("\4\0\0", 3));
}

TEST_F(FwCfgTest, DirectoryListsFiles) {
  const std::vector<u8> bytes = {'d', 'a', 't', 'a'};
  ASSERT_TRUE(device.add_file("etc/e820", bytes));
  const std::string directory = read(FwCfg::FileDirectory, 4 + 64);
  EXPECT_EQ(directory.substr(0, 4), std::string("\0\0\0\1", 4));
  EXPECT_EQ(directory.substr(4, 6), std::string("\0\0\0\4\0\x20", 6));
  EXPECT_STREQ(directory.c_str() + 12, "etc/e820");
  EXPECT_EQ(read(FwCfg::FirstFile, 4), "data");
}

TEST_F(FwCfgTest, DmaSelectsAndReads) {
  const std::vector<u8> bytes(10'000, 0x77);
  device.add_bytes(FwCfg::KernelData, bytes);
  EXPECT_EQ(dma(FwCfg::KernelData << 16 | 8 | 2, 10'000, 0x1000), 0u);
  EXPECT_EQ(host.get<u8>(0x1000 + 9'999), 0x77);
  EXPECT_EQ(host.get<u8>(0x1000 + 10'000), 0);
}

TEST_F(FwCfgTest, DmaOutsideMemoryIsAnError) {
  EXPECT_EQ(dma(FwCfg::Signature << 16 | 8 | 2, 0xffff'ffff, 0x8'0000), 1u);
  EXPECT_EQ(dma(16, 4, 0x1000), 1u);
}

TEST_F(FwCfgTest, DescriptorOutsideMemoryIsIgnored) {
  device.write(1, 0, 4, 0xffff'ffff);
  device.write(1, 4, 4, 0xffff'ffff);
  EXPECT_EQ(read(FwCfg::Signature, 4), "QEMU");
}

TEST_F(FwCfgTest, DuplicateKeysAndLongNamesAreRefused) {
  EXPECT_FALSE(device.add_value(FwCfg::Id, 4, 0));
  EXPECT_FALSE(device.add_file(std::string(56, 'n'), {}));
}

}  // namespace
}  // namespace bunshin::test
