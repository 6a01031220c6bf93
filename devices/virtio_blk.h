#pragma once

// The virtio block device (Virtual I/O Device 1.2, section 5.2).

#include "devices/virtio_pci.h"

namespace bunshin {

/// Where a disk's bytes are. Offsets and sizes are in bytes; the caller stays inside size().
class BlockBackend {
 public:
  virtual u64 size() const = 0;
  virtual bool read_only() const = 0;
  /// False if the storage fails.
  virtual bool read(u64 offset, std::span<u8> data) = 0;
  virtual bool write(u64 offset, std::span<const u8> data) = 0;
  virtual bool flush() = 0;
  /// Adds what differs from the image as it was at the start.
  virtual void hash(StateHash& hash) const = 0;

 protected:
  ~BlockBackend() = default;
};

struct VirtioBlkTiming {
  SimTime latency = SimTime::from_ns(20'000);  ///< from taking a request to its completion, without the transfer
  u64 bytes_per_second = 2'000'000'000;
};

struct VirtioBlkCounters {
  u64 reads = 0, writes = 0, flushes = 0, others = 0, errors = 0;
  u64 bytes_read = 0, bytes_written = 0;
};

/// One queue; requests are served one after the other. A request's data moves when its time has come, and the driver is told
/// when that has passed the memory hierarchy.
class VirtioBlk final : public VirtioPci {
 public:
  static constexpr u64 sector_bytes = 512;
  static constexpr u32 max_data_segments = 126;

  /// `serial` is what GET_ID answers (20 bytes at most are used); it must outlive the device.
  VirtioBlk(DeviceHost& host, BlockBackend& backend, VirtioBlkTiming timing, std::span<const char> serial);

  void alarm() override;
  void hash(StateHash& hash) const override;
  const VirtioBlkCounters& counters() const { return counters_; }

 private:
  struct Header {
    u32 type = 0;
    u64 sector = 0;
  };
  u8 device_config(u64 offset) const override;
  void queue_notified(unsigned queue) override;
  void device_reset() override;

  void start_next();
  /// Moves the request's data. Its completion waits for that to have passed the bus.
  void move_data();
  bool read_header(Header& header);
  /// Performs the request; returns its status byte and adds the data bytes written to guest memory.
  u8 execute(const Header& header, u32& written);
  u8 transfer_in(const Header& header, u64 bytes, u32& written);
  u8 transfer_out(const Header& header, u64 bytes);
  u8 discard_or_zero(bool zero, u64 bytes);
  bool zero_sectors(u64 sector, u64 sectors);
  bool in_range(u64 sector, u64 bytes) const;

  BlockBackend& backend_;
  const VirtioBlkTiming timing_;
  const std::span<const char> serial_;
  DescriptorChain request_;
  bool busy_ = false;
  bool moved_ = false;  ///< the request's data, but the driver has not been told
  u32 written_ = 0;     ///< bytes of it
  VirtioBlkCounters counters_;
};

}  // namespace bunshin
