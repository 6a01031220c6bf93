// A guest's memory in pieces of the host's.

#include <numeric>

#include <gtest/gtest.h>

#include "host_machine.h"
#include "vmm-model/guest_memory.h"

namespace bunshin::vmm {
namespace {

class GuestMemoryTest : public testing::Test {
 protected:
  static constexpr u64 first_bytes = 2 * page_size, second_bytes = page_size;
  HostMachine machine{1 << 20};
  std::array<GuestMemory::Part, 2> parts{GuestMemory::Part{HostPhysical(0x8000), first_bytes},
                                         GuestMemory::Part{HostPhysical(0x3000), second_bytes}};
  GuestMemory memory{machine, parts};
};

TEST_F(GuestMemoryTest, PiecesFollowEachOther) {
  EXPECT_EQ(memory.size(), first_bytes + second_bytes);
  EXPECT_EQ(memory.host(GuestPhysical(0x1ff8)).value, 0x9ff8u);
  EXPECT_EQ(memory.host(GuestPhysical(0x2008)).value, 0x3008u);
  EXPECT_EQ(memory.page_index(GuestPhysical(0x2008)), 2u);
  EXPECT_FALSE(memory.contains(GuestPhysical(0x2ff8), 16));
}

TEST_F(GuestMemoryTest, TheWayBackIsTheWayThere) {
  for (u64 at = 0; at < memory.size(); at += 0x808) {
    EXPECT_EQ(memory.guest(memory.host(GuestPhysical(at))).value, at);
  }
}

TEST_F(GuestMemoryTest, AWordOverTheSeamIsBothSides) {
  EXPECT_FALSE(memory.adjacent(GuestPhysical(0x1ffd), 8));
  ASSERT_TRUE(memory.store(GuestPhysical(0x1ffd), 8, 0x8877'6655'4433'2211));
  u64 value = 0;
  ASSERT_TRUE(memory.load(GuestPhysical(0x1ffd), 8, value));
  EXPECT_EQ(value, 0x8877'6655'4433'2211u);
  EXPECT_EQ(machine.load(HostPhysical(0x9ffd), 2), 0x2211u);
  EXPECT_EQ(machine.load(HostPhysical(0x3000), 4), 0x7766'5544u);
  EXPECT_EQ(machine.load(HostPhysical(0xa000), 8), 0u);  // what follows the first piece is somebody else's
}

TEST_F(GuestMemoryTest, BytesOverTheSeamAreBothSides) {
  std::array<u8, 3 * page_size> out{}, in{};
  std::iota(out.begin(), out.end(), u8{1});
  ASSERT_TRUE(memory.write(GuestPhysical(0), out));
  ASSERT_TRUE(memory.read(GuestPhysical(0), in));
  EXPECT_EQ(in, out);
  ASSERT_TRUE(memory.clear(GuestPhysical(0x1000), 0x1800));
  EXPECT_EQ(machine.load(HostPhysical(0x37f8), 8), 0u);
  EXPECT_NE(machine.load(HostPhysical(0x3800), 8), 0u);
}

TEST(PagePool, APartIsAsMuchAsThereIsInOnePlaceFromTheTop) {
  HostMachine machine(1 << 20);
  PagePool pool(machine);
  pool.add(0x1000, 0x5000);
  pool.add(0x8000, 0xb000);
  u64 bytes = 0x5000;
  EXPECT_EQ(pool.allocate_part(bytes, page_size).value, 0x8000u);
  EXPECT_EQ(bytes, 0x3000u);
  bytes = 0x2000;
  EXPECT_EQ(pool.allocate_part(bytes, page_size).value, 0x3000u);
  EXPECT_EQ(bytes, 0x2000u);
  EXPECT_EQ(pool.allocate_part(bytes = 0x4000, 0x4000).value, 0u);
}

}  // namespace
}  // namespace bunshin::vmm
