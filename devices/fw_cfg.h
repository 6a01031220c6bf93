#pragma once

// QEMU's firmware configuration device (docs/specs/fw_cfg): named blobs that firmware and test kernels read through two
// ports or by DMA. Contents belong to the platform; the device only points at them.

#include <array>
#include <span>
#include <string_view>

#include "devices/device.h"

namespace bunshin {

/// Region 0: ports 0x510 (16-bit selector) and 0x511 (data). Region 1: ports 0x514..0x51B (DMA address, big endian).
class FwCfg final : public Device {
 public:
  enum Key : u16 {
    Signature = 0x00,
    Id = 0x01,
    RamSize = 0x03,
    NbCpus = 0x05,
    KernelAddress = 0x07,
    KernelSize = 0x08,
    KernelCmdline = 0x09,
    InitrdAddress = 0x0a,
    InitrdSize = 0x0b,
    MaxCpus = 0x0f,
    KernelEntry = 0x10,
    KernelData = 0x11,
    InitrdData = 0x12,
    CmdlineAddress = 0x13,
    CmdlineSize = 0x14,
    CmdlineData = 0x15,
    SetupAddress = 0x16,
    SetupSize = 0x17,
    SetupData = 0x18,
    FileDirectory = 0x19,
    FirstFile = 0x20,
  };
  static constexpr unsigned max_items = 64;

  explicit FwCfg(DeviceHost& host);

  /// `bytes` must outlive the device. False if there is no room, or the key or name is taken.
  bool add_bytes(u16 key, std::span<const u8> bytes);
  /// A little-endian integer of `size` bytes (2, 4 or 8).
  bool add_value(u16 key, unsigned size, u64 value);
  /// A file in the directory, for instance "etc/e820"; names have at most 55 characters. Contents as for add_bytes().
  bool add_file(std::string_view name, std::span<const u8> bytes);

  u64 read(unsigned region, u64 offset, unsigned size) override;
  void write(unsigned region, u64 offset, unsigned size, u64 value) override;
  void reset() override;
  void hash(StateHash& hash) const override;

 private:
  static constexpr unsigned name_bytes = 56;
  static constexpr unsigned entry_bytes = 8 + name_bytes;
  struct Item {
    u16 key = 0;
    std::span<const u8> bytes;
    std::array<u8, 8> value{};  ///< contents if `value_size` is not 0
    u8 value_size = 0;
    std::array<char, name_bytes> name{};
  };

  Item* add(u16 key);
  const Item* find(u16 key) const;
  u32 length() const;
  u8 byte_at(u32 offset) const;
  u8 directory_byte(u32 offset) const;
  u8 next_byte();
  void select(u16 key);
  void run_dma();
  u32 transfer(u32 control, u32 length, u64 address);

  DeviceHost& host_;
  std::array<Item, max_items> items_{};
  unsigned count_ = 0;
  u16 files_ = 0;
  u16 selected_ = 0;
  u32 position_ = 0;
  std::array<u8, 8> dma_address_{};
};

}  // namespace bunshin
