#include "mmu/memory/physical_memory.h"

#include <gtest/gtest.h>

#include <array>
#include <stdexcept>
#include <vector>

namespace bunshin {
namespace {

constexpr u64 mib = 1 << 20;
constexpr u64 gib = 1 << 30;

u64 hash_of(const PhysicalMemory& memory) {
  StateHash hash;
  memory.hash(hash);
  return hash.value();
}

TEST(PhysicalMemory, RamBeyondTheLimitContinuesAtFourGib) {
  PhysicalMemory memory(4 * gib, 3 * gib);
  EXPECT_NE(memory.page(HostPhysical(3 * gib - page_size)).host, nullptr);
  EXPECT_EQ(memory.page(HostPhysical(3 * gib)).host, nullptr);
  EXPECT_EQ(memory.page(HostPhysical(4 * gib - 1)).host, nullptr);
  EXPECT_NE(memory.page(HostPhysical(4 * gib)).host, nullptr);
  EXPECT_NE(memory.page(HostPhysical(5 * gib - 1)).host, nullptr);
  EXPECT_EQ(memory.page(HostPhysical(5 * gib)).host, nullptr);
}

TEST(PhysicalMemory, VideoWindowIsNotRam) {
  PhysicalMemory memory(2 * mib);
  EXPECT_NE(memory.page(HostPhysical(0x9ffff)).host, nullptr);
  EXPECT_EQ(memory.page(HostPhysical(0xa0000)).host, nullptr);
  EXPECT_EQ(memory.page(HostPhysical(0xb8000)).host, nullptr);
  EXPECT_NE(memory.page(HostPhysical(0xc0000)).host, nullptr);
}

TEST(PhysicalMemory, HugeMachineCostsWhatItTouched) {
  PhysicalMemory memory(64 * gib);
  memory.page(HostPhysical(40 * gib)).host[0] = 1;
  EXPECT_LE(memory.resident_bytes(), 4 * mib);
  EXPECT_GT(memory.resident_bytes(), 0u);
}

TEST(PhysicalMemory, CopyAcrossPagesReadsBack) {
  PhysicalMemory memory(mib);
  std::vector<u8> out(3 * page_size, 0xa5);
  ASSERT_TRUE(memory.write(HostPhysical(100), out));
  std::vector<u8> in(out.size());
  ASSERT_TRUE(memory.read(HostPhysical(100), in));
  EXPECT_EQ(in, out);
}

TEST(PhysicalMemory, CopyThatLeavesRamCopiesNothing) {
  PhysicalMemory memory(mib);
  std::array<u8, 8> ones;
  ones.fill(0xff);
  EXPECT_FALSE(memory.write(HostPhysical(mib - 4), ones));
  EXPECT_EQ(memory.page(HostPhysical(mib - 4)).host[page_size - 4], 0);
  EXPECT_FALSE(memory.read(HostPhysical(~u64{0} - 3), ones));
}

TEST(PhysicalMemory, RomIsInFrontOfRamAndIgnoresWrites) {
  PhysicalMemory memory(mib);
  const std::array<u8, 3> image = {1, 2, 3};
  memory.add_rom(HostPhysical(0xe0000), image);
  EXPECT_FALSE(memory.page(HostPhysical(0xe0000)).writable);
  const std::array<u8, 1> nine = {9};
  EXPECT_TRUE(memory.write(HostPhysical(0xe0001), nine));
  EXPECT_EQ(memory.page(HostPhysical(0xe0000)).host[1], 2);
  EXPECT_TRUE(memory.page(HostPhysical(0xe1000)).writable);
}

TEST(PhysicalMemory, RomAboveRamIsFound) {
  PhysicalMemory memory(mib);
  const std::array<u8, 1> image = {7};
  memory.add_rom(HostPhysical(0xffff'f000), image);
  memory.add_rom(HostPhysical(0xc'0000), image);
  EXPECT_EQ(memory.page(HostPhysical(0xffff'f000)).host[0], 7);
  EXPECT_EQ(memory.page(HostPhysical(0xc0000)).host[0], 7);
  EXPECT_THROW(memory.add_rom(HostPhysical(0xc0000), image), std::runtime_error);
}

struct Recorder final : CodeWatcher {
  explicit Recorder(PhysicalMemory& m) : memory(m) { memory.set_code_watcher(this); }
  void code_written(HostPhysical address, u64 size) override {
    hits.push_back({address.value, size});
    old_byte = memory.page(address).host[address.page_offset()];
  }
  PhysicalMemory& memory;
  std::vector<std::pair<u64, u64>> hits;
  u8 old_byte = 0xee;
};

TEST(PhysicalMemory, WatcherHearsOfACodeWriteBeforeTheBytesChange) {
  PhysicalMemory memory(mib);
  Recorder recorder(memory);
  memory.mark_code(HostPhysical(0x1040), 1);
  const std::array<u8, 1> one = {1};
  memory.write(HostPhysical(0x1000), one);
  EXPECT_TRUE(recorder.hits.empty());
  memory.write(HostPhysical(0x1060), one);
  ASSERT_EQ(recorder.hits.size(), 1u);
  EXPECT_EQ(recorder.old_byte, 0);
}

TEST(PhysicalMemory, CodeMapHasGranulesOf64Bytes) {
  PhysicalMemory memory(mib);
  EXPECT_TRUE(memory.mark_code(HostPhysical(0x2fff), 1));
  EXPECT_FALSE(memory.mark_code(HostPhysical(0x2000), 64));
  EXPECT_TRUE(memory.has_code(HostPhysical(0x2fc0), 1));
  EXPECT_FALSE(memory.has_code(HostPhysical(0x2fbf), 1));
  EXPECT_TRUE(memory.has_code(HostPhysical(0x203f), 2));
  EXPECT_FALSE(memory.has_code(HostPhysical(0x2040), 0x1000 - 0x40 - 0x40));
  memory.clear_code(HostPhysical(0x2000));
  EXPECT_FALSE(memory.page_has_code(HostPhysical(0x2000)));
}

TEST(PhysicalMemory, HashSeesContentsNotHistory) {
  PhysicalMemory a(16 * mib);
  PhysicalMemory b(16 * mib);
  b.page(HostPhysical(0x5000)).host[1] = 1;
  EXPECT_NE(hash_of(a), hash_of(b));
  b.page(HostPhysical(0x5000)).host[1] = 0;
  EXPECT_EQ(hash_of(a), hash_of(b));
}

TEST(PhysicalMemory, UnusableSizesAreRefused) {
  EXPECT_THROW(PhysicalMemory(0), std::runtime_error);
  EXPECT_THROW(PhysicalMemory(4097), std::runtime_error);
  EXPECT_THROW(PhysicalMemory(u64{1} << 50), std::runtime_error);
}

}  // namespace
}  // namespace bunshin
