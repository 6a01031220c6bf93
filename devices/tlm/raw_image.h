#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>

#include "devices/virtio_blk.h"

namespace bunshin {

/// A raw disk image in a file. With `snapshot`, what the guest writes stays in memory and the file is opened read-only,
/// so that every run begins with the same disk.
class RawImage final : public BlockBackend {
 public:
  /// Throws std::runtime_error naming the file if it cannot be opened, is not a regular file or block device, or holds
  /// less than a sector. A last partial sector is not part of the disk.
  RawImage(const std::string& file, bool snapshot);
  ~RawImage();
  RawImage(const RawImage&) = delete;
  RawImage& operator=(const RawImage&) = delete;

  u64 size() const override { return size_; }
  bool read_only() const override { return false; }
  bool read(u64 offset, std::span<u8> data) override;
  bool write(u64 offset, std::span<const u8> data) override;
  bool flush() override;
  void hash(StateHash& hash) const override;

 private:
  static constexpr u64 block_bytes = 4096;
  using Block = std::array<u8, block_bytes>;
  bool read_file(u64 offset, std::span<u8> data) const;
  /// The block's copy in memory, made if `create`; nullptr if there is none or it cannot be read.
  Block* block(u64 number, bool create);

  int file_ = -1;
  u64 size_ = 0;
  bool snapshot_ = true;
  std::unordered_map<u64, std::unique_ptr<Block>> written_;
};

}  // namespace bunshin
