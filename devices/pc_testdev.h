#pragma once

// QEMU's pc-testdev (hw/misc/pc-testdev.c): registers by which test kernels exercise port and memory-mapped I/O and
// raise any interrupt line.

#include <array>

#include "devices/device.h"

namespace bunshin {

/// Region 0: ports 0xE0..0xE3, a read/write value. Region 1: ports 0xE4..0xE7, page flush (nothing to flush here).
/// Region 2: ports 0xE8..0xEB, the same value in byte accesses. Region 3: ports 0x2000..0x2017, one interrupt line a
/// port. Region 4: 64 KiB of memory-mapped registers at 0xFF000000. Output pins: 0..23, GSI n.
class PcTestDevice final : public Device {
 public:
  static constexpr unsigned lines = 24;
  static constexpr unsigned iomem_bytes = 0x10000;

  explicit PcTestDevice(DeviceHost& host) : host_(host) {}

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  DeviceHost& host_;
  u32 value_ = 0;
  u32 levels_ = 0;
  std::array<u8, iomem_bytes> iomem_{};
};

}  // namespace bunshin
