#pragma once

// A guest's disk: the image that the boot loader has put into memory, shared and never written, and pages of the pool for what
// this guest has written. Gone when the guest is.

#include <span>

#include "devices/virtio_blk.h"
#include "vmm-model/page_pool.h"

namespace bunshin::vmm {

class GuestDisk final : public BlockBackend {
 public:
  /// Pages that the blocks of an image of so many bytes may need: what `pages` must have room for, zeroed.
  static std::size_t blocks(std::size_t bytes) { return (bytes + page_size - 1) / page_size; }

  /// The image and `pages` must outlive the disk. A last part of a sector is no part of the disk.
  GuestDisk(Hardware& hardware, PagePool& pool, std::span<const u8> image, u64* pages)
      : hardware_(hardware),
        pool_(pool),
        image_(image.first(image.size() / VirtioBlk::sector_bytes * VirtioBlk::sector_bytes)),
        pages_(pages) {}

  u64 size() const override { return image_.size(); }
  bool read_only() const override { return false; }
  bool read(u64 offset, std::span<u8> data) override;
  /// False when the pool has no page left for a block that is written for the first time: the guest sees an I/O error.
  bool write(u64 offset, std::span<const u8> data) override;
  bool flush() override { return true; }
  void hash(StateHash& /*hash*/) const override {}

 private:
  bool make_private(u64 block);
  std::span<const u8> part(u64 offset, std::size_t wanted) const;

  Hardware& hardware_;
  PagePool& pool_;
  const std::span<const u8> image_;
  u64* const pages_;  ///< by block: the host-physical page that has replaced it, 0: none
};

}  // namespace bunshin::vmm
