#include "devices/virtio_blk.h"

#include <gtest/gtest.h>

#include <string_view>

#include "tests/devices/dma_host.h"

namespace bunshin::test {
namespace {

class MemoryDisk final : public BlockBackend {
 public:
  explicit MemoryDisk(std::size_t bytes) : bytes_(bytes) {}
  u64 size() const override { return bytes_.size(); }
  bool read_only() const override { return false; }
  bool read(u64 offset, std::span<u8> data) override {
    std::memcpy(data.data(), &bytes_.at(offset + data.size() - 1) + 1 - data.size(), data.size());
    return true;
  }
  bool write(u64 offset, std::span<const u8> data) override {
    std::memcpy(&bytes_.at(offset + data.size() - 1) + 1 - data.size(), data.data(), data.size());
    return true;
  }
  bool flush() override { return ++flushes != 0; }
  void hash(StateHash& hash) const override { hash.add(bytes_); }
  u8& operator[](std::size_t i) { return bytes_[i]; }
  unsigned flushes = 0;

 private:
  std::vector<u8> bytes_;
};

constexpr u64 table = 0x1000, driver_ring = 0x2000, device_ring = 0x3000, header = 0x4000, data = 0x5000,
              status = 0x4800;
constexpr u16 flag_next = 1, flag_write = 2, flag_indirect = 4;
constexpr u64 indirect_feature = 1 << 28, event_feature = 1 << 29;

/// The driver's half, as little of it as a request needs.
struct VirtioBlkTest : testing::Test {
  VirtioBlkTest() { blk.config_write(0x04, 2, 6); }

  void common(u64 offset, unsigned size, u64 value) { blk.write(0, offset, size, value); }
  void start(u64 features = 0, u16 size = 8) {
    queue_size = size;
    common(0x14, 1, 1);
    common(0x14, 1, 3);
    common(0x08, 4, 0);
    common(0x0c, 4, features & 0xffff'ffff);
    common(0x08, 4, 1);
    common(0x0c, 4, 1);  // VERSION_1
    common(0x14, 1, 11);
    ASSERT_EQ(blk.read(0, 0x14, 1), 11u);
    common(0x16, 2, 0);
    common(0x18, 2, size);
    common(0x20, 8, table);
    common(0x28, 8, driver_ring);
    common(0x30, 8, device_ring);
    common(0x1c, 2, 1);
    common(0x14, 1, 15);
  }
  void descriptor(u64 at, unsigned index, u64 address, u32 length, u16 flags, u16 next) {
    host.put(at + 16 * index, address);
    host.put(at + 16 * index + 8, length);
    host.put(at + 16 * index + 12, flags);
    host.put(at + 16 * index + 14, next);
  }
  void chain(u32 type, u64 sector, u32 length, bool device_writes, u64 at = table) {
    host.put(header, type);
    host.put(header + 8, sector);
    host.put<u8>(status, 0xee);
    descriptor(at, 0, header, 16, flag_next, 1);
    descriptor(at, 1, data, length, static_cast<u16>(flag_next | (device_writes ? flag_write : 0)), 2);
    descriptor(at, 2, status, 1, flag_write, 0);
  }
  void offer(u16 head = 0) {
    const u16 index = host.get<u16>(driver_ring + 2);
    host.put(driver_ring + 4 + 2u * (index % queue_size), head);
    host.put<u16>(driver_ring + 2, static_cast<u16>(index + 1));
  }
  void kick() { blk.write(0, VirtioPci::notify_at, 2, 0); }
  u8 run() {
    offer();
    kick();
    EXPECT_TRUE(host.settle(blk));
    return host.get<u8>(status);
  }
  bool needs_reset() { return (blk.read(0, 0x14, 1) & VirtioPci::NeedsReset) != 0; }
  u16 used() { return host.get<u16>(device_ring + 2); }

  DmaHost host;
  MemoryDisk disk{64 * 512};
  VirtioBlk blk{host, disk, VirtioBlkTiming{}, std::string_view("serial-42")};
  u16 queue_size = 8;
};

TEST_F(VirtioBlkTest, ConfigurationTellsCapacity) { EXPECT_EQ(blk.read(0, VirtioPci::device_at, 8), 64u); }

TEST_F(VirtioBlkTest, FeaturesOkNeedsVersionOne) {
  common(0x14, 1, 11);
  EXPECT_EQ(blk.read(0, 0x14, 1) & VirtioPci::FeaturesOk, 0u);
}

TEST_F(VirtioBlkTest, ReadsASector) {
  disk[512 * 3] = 0x5a;
  start();
  chain(0, 3, 512, true);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(host.get<u8>(data), 0x5a);
  EXPECT_EQ(used(), 1);
  EXPECT_EQ(host.get<u32>(device_ring + 8), 513u);
}

TEST_F(VirtioBlkTest, WritesASector) {
  start();
  chain(1, 5, 512, false);
  host.put<u8>(data + 511, 0x33);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(disk[512 * 5 + 511], 0x33);
}

TEST_F(VirtioBlkTest, DataMovesAfterTheLatencyNotBefore) {
  start();
  chain(0, 0, 512, true);
  offer();
  kick();
  EXPECT_EQ(used(), 0);
  EXPECT_GE(host.alarm, SimTime::from_ns(20'000));
  EXPECT_LT(host.alarm, SimTime::from_ns(21'000));
}

TEST_F(VirtioBlkTest, TheDriverIsToldWhenTheDataHasPassedNotBefore) {
  start();
  chain(0, 3, 512, true);
  offer();
  kick();
  const SimTime moves = host.alarm;
  const SimTime passes = moves + SimTime::from_ns(700);
  host.dma_done = passes;
  host.set_now(moves);
  blk.alarm();
  EXPECT_EQ(used(), 0) << "the data is on its way";
  EXPECT_EQ(host.alarm, passes);
  host.set_now(passes);
  blk.alarm();
  EXPECT_EQ(used(), 1);
  EXPECT_EQ(host.get<u8>(status), 0);
}

TEST_F(VirtioBlkTest, FlushReachesTheBackend) {
  start();
  chain(4, 0, 0, false);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(disk.flushes, 1u);
}

TEST_F(VirtioBlkTest, GetIdAnswersTheSerialNumber) {
  start();
  chain(8, 0, 20, true);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(host.memory.data()) + data), "serial-42");
}

TEST_F(VirtioBlkTest, WriteZeroesClearsTheRange) {
  disk[512 * 2] = 1;
  start();
  chain(13, 0, 16, false);
  host.put<u64>(data, 2);
  host.put<u32>(data + 8, 1);
  EXPECT_EQ(run(), 0);
  EXPECT_EQ(disk[512 * 2], 0);
}

TEST_F(VirtioBlkTest, UnknownTypeIsUnsupported) {
  start();
  chain(99, 0, 512, true);
  EXPECT_EQ(run(), 2);
}

TEST_F(VirtioBlkTest, SectorsPastTheEndAreErrors) {
  start();
  chain(0, 64, 512, true);
  EXPECT_EQ(run(), 1);
  chain(0, 63, 1024, true);
  EXPECT_EQ(run(), 1);
  chain(1, ~u64{0}, 512, false);
  EXPECT_EQ(run(), 1);
  EXPECT_FALSE(needs_reset());
}

TEST_F(VirtioBlkTest, PartialSectorsAreErrors) {
  start();
  chain(0, 0, 511, true);
  EXPECT_EQ(run(), 1);
}

TEST_F(VirtioBlkTest, BuffersOutsideMemoryAreErrors) {
  start();
  chain(0, 0, 512, true);
  host.put<u64>(table + 16, ~u64{0} - 100);
  EXPECT_EQ(run(), 1);
}

TEST_F(VirtioBlkTest, IndirectChainsWork) {
  start(indirect_feature);
  chain(0, 0, 512, true, 0x8000);
  descriptor(table, 0, 0x8000, 48, flag_indirect, 0);
  EXPECT_EQ(run(), 0);
}

TEST_F(VirtioBlkTest, NestedIndirectNeedsReset) {
  start(indirect_feature);
  descriptor(table, 0, 0x8000, 16, flag_indirect, 0);
  descriptor(0x8000, 0, 0x8000, 16, flag_indirect, 0);
  run();
  EXPECT_TRUE(needs_reset());
}

TEST_F(VirtioBlkTest, LoopingChainNeedsReset) {
  start();
  descriptor(table, 0, header, 16, flag_next, 0);
  run();
  EXPECT_TRUE(needs_reset());
  EXPECT_EQ(used(), 0);
}

TEST_F(VirtioBlkTest, HeadOutsideTheTableNeedsReset) {
  start();
  offer(8);
  kick();
  EXPECT_TRUE(needs_reset());
}

TEST_F(VirtioBlkTest, AvailableIndexPastTheRingNeedsReset) {
  start();
  host.put<u16>(driver_ring + 2, 9);
  kick();
  EXPECT_TRUE(needs_reset());
}

TEST_F(VirtioBlkTest, RingsOutsideMemoryNeedReset) {
  common(0x14, 1, 3);
  common(0x08, 4, 1);
  common(0x0c, 4, 1);
  common(0x14, 1, 11);
  common(0x28, 8, u64{1} << 40);
  common(0x1c, 2, 1);
  common(0x14, 1, 15);
  kick();
  EXPECT_TRUE(needs_reset());
}

TEST_F(VirtioBlkTest, RequestWithoutRoomForTheStatusIsReturnedEmpty) {
  start();
  descriptor(table, 0, header, 16, 0, 0);
  offer();
  kick();
  ASSERT_TRUE(host.settle(blk));
  EXPECT_EQ(used(), 1);
  EXPECT_EQ(host.get<u32>(device_ring + 8), 0u);
}

TEST_F(VirtioBlkTest, InterruptsByIntxUntilIsrIsRead) {
  start();
  chain(0, 0, 512, true);
  run();
  EXPECT_TRUE(host.pins[0]);
  EXPECT_EQ(blk.read(0, VirtioPci::isr_at, 1), 1u);
  EXPECT_FALSE(host.pins[0]);
}

TEST_F(VirtioBlkTest, DriverCanSuppressInterrupts) {
  start();
  host.put<u16>(driver_ring, 1);
  chain(0, 0, 512, true);
  run();
  EXPECT_FALSE(host.pins[0]);
}

TEST_F(VirtioBlkTest, EventIndexDelaysTheInterrupt) {
  start(event_feature);
  host.put<u16>(driver_ring + 4 + 2 * 8, 1);  // tell me after the second
  chain(0, 0, 512, true);
  run();
  EXPECT_FALSE(host.pins[0]);
  run();
  EXPECT_TRUE(host.pins[0]);
}

TEST_F(VirtioBlkTest, QueuedRequestsAreAllServed) {
  start();
  chain(0, 0, 512, true);
  for (int i = 0; i < 8; ++i) offer();
  kick();
  ASSERT_TRUE(host.settle(blk));
  EXPECT_EQ(used(), 8);
  EXPECT_EQ(blk.counters().reads, 8u);
}

TEST_F(VirtioBlkTest, ResetForgetsARequestInFlight) {
  start();
  chain(0, 0, 512, true);
  offer();
  kick();
  blk.write(0, 0x14, 1, 0);
  ASSERT_TRUE(host.settle(blk));
  EXPECT_EQ(used(), 0);
}

TEST_F(VirtioBlkTest, ConfigurationWindowReachesTheBar) {
  u32 at = blk.config_read(0x34, 1);
  while (at != 0 &&
         !(blk.config_read(static_cast<u16>(at), 1) == 9 && blk.config_read(static_cast<u16>(at + 3), 1) == 5)) {
    at = blk.config_read(static_cast<u16>(at + 1), 1);
  }
  ASSERT_NE(at, 0u);
  blk.config_write(static_cast<u16>(at + 8), 4, VirtioPci::device_at);
  blk.config_write(static_cast<u16>(at + 12), 4, 4);
  EXPECT_EQ(blk.config_read(static_cast<u16>(at + 16), 4), 64u);
  blk.config_write(static_cast<u16>(at + 8), 4, 0xffff'fff0);
  EXPECT_EQ(blk.config_read(static_cast<u16>(at + 16), 4), 0u);
}

}  // namespace
}  // namespace bunshin::test
