#include "devices/virtio_blk.h"

#include <algorithm>

namespace bunshin {
namespace {

// 5.2.3 feature bits.
constexpr u64 feature_seg_max = 1 << 2, feature_read_only = 1 << 5, feature_blk_size = 1 << 6, feature_flush = 1 << 9;
constexpr u64 feature_discard = 1 << 13, feature_write_zeroes = 1 << 14;
// 5.2.6 request types and status values.
constexpr u32 type_in = 0, type_out = 1, type_flush = 4, type_get_id = 8, type_discard = 11, type_write_zeroes = 13;
constexpr u8 status_ok = 0, status_io_error = 1, status_unsupported = 2;
constexpr u64 header_bytes = 16, id_bytes = 20, range_bytes = 16;
constexpr u32 max_discard_sectors = 1 << 16, max_ranges = 8;
constexpr u32 transfer_limit = 1 << 28;  // a request of more bytes is refused, whatever its descriptors promise
constexpr u16 device_type_block = 2;
constexpr u32 class_mass_storage = 0x018000;

u64 little_endian(std::span<const u8> bytes) {
  u64 value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

}  // namespace

VirtioBlk::VirtioBlk(DeviceHost& host, BlockBackend& backend, VirtioBlkTiming timing, std::span<const char> serial)
    : VirtioPci(host, device_type_block, class_mass_storage, 1,
                feature_seg_max | feature_blk_size | feature_flush | feature_discard | feature_write_zeroes |
                    (backend.read_only() ? feature_read_only : 0)),
      backend_(backend),
      timing_(timing),
      serial_(serial.first(std::min<std::size_t>(serial.size(), id_bytes))) {}

// 5.2.4: struct virtio_blk_config.
u8 VirtioBlk::device_config(u64 offset) const {
  const auto byte = [offset](u64 base, u64 value) { return static_cast<u8>(value >> (8 * (offset - base))); };
  if (offset < 8) return byte(0, backend_.size() / sector_bytes);
  if (offset >= 12 && offset < 16) return byte(12, max_data_segments);
  if (offset >= 20 && offset < 24) return byte(20, sector_bytes);
  if (offset >= 36 && offset < 40) return byte(36, max_discard_sectors);
  if (offset >= 40 && offset < 44) return byte(40, max_ranges);
  if (offset >= 44 && offset < 48) return byte(44, 1);  // discard_sector_alignment
  if (offset >= 48 && offset < 52) return byte(48, max_discard_sectors);
  if (offset >= 52 && offset < 56) return byte(52, max_ranges);
  return 0;
}

void VirtioBlk::queue_notified(unsigned) {
  if (!busy_) start_next();
}

void VirtioBlk::device_reset() {
  busy_ = moved_ = false;
  host_.set_alarm(SimTime::never());
}

void VirtioBlk::start_next() {
  if (!running()) return;
  busy_ =
      true;  // before the ring is touched: a ring that lies in our own notification register must not come back here
  busy_ = take(0, request_) == VirtQueue::Take::Chain;
  if (!busy_) return;
  const u64 bytes = std::min<u64>(request_.readable_bytes() + request_.writable_bytes(), transfer_limit);
  const u64 rate = std::max<u64>(timing_.bytes_per_second, 1);
  const SimTime transfer{static_cast<u64>(u128{bytes} * 1'000'000'000'000ULL / rate)};
  host_.set_alarm(host_.dma_complete() + timing_.latency + transfer);
}

void VirtioBlk::alarm() {
  if (!busy_) return;
  if (!moved_) {
    move_data();
    moved_ = true;
    const SimTime passed = host_.dma_complete();
    if (passed > host_.now()) return host_.set_alarm(passed);
  }
  complete(0, request_.head, written_);
  busy_ = moved_ = false;
  start_next();
}

bool VirtioBlk::read_header(Header& header) {
  std::array<u8, header_bytes> raw;
  if (!request_.read(memory(), 0, raw)) return false;
  header.type = static_cast<u32>(little_endian(std::span(raw).first(4)));
  header.sector = little_endian(std::span(raw).subspan(8, 8));
  return true;
}

void VirtioBlk::move_data() {
  const u64 writable = request_.writable_bytes();
  written_ = 0;
  u8 status = status_io_error;
  Header header;
  if (writable != 0 && read_header(header)) status = execute(header, written_);
  if (status != status_ok) ++counters_.errors;
  const std::array<u8, 1> last = {status};
  // 5.2.6.4: the status is the last byte; a request without room for it is returned empty.
  if (writable != 0 && request_.write(memory(), writable - 1, last)) ++written_;
}

bool VirtioBlk::in_range(u64 sector, u64 bytes) const {
  const u64 sectors = backend_.size() / sector_bytes;
  return bytes % sector_bytes == 0 && sector <= sectors && bytes / sector_bytes <= sectors - sector;
}

u8 VirtioBlk::execute(const Header& header, u32& written) {
  const u64 in = request_.writable_bytes() - 1;
  const u64 out = request_.readable_bytes() - header_bytes;
  if (in > transfer_limit || out > transfer_limit) return status_io_error;
  switch (header.type) {
    case type_in: return transfer_in(header, in, written);
    case type_out: return transfer_out(header, out);
    case type_flush: ++counters_.flushes; return backend_.flush() ? status_ok : status_io_error;
    case type_get_id: {
      ++counters_.others;
      std::array<u8, id_bytes> id{};
      std::ranges::transform(serial_, id.begin(), [](char c) { return static_cast<u8>(c); });
      if (in < id_bytes || !request_.write(memory(), 0, id)) return status_io_error;
      written = id_bytes;
      return status_ok;
    }
    case type_discard: return discard_or_zero(false, out);
    case type_write_zeroes: return discard_or_zero(true, out);
    default: return status_unsupported;
  }
}

u8 VirtioBlk::transfer_in(const Header& header, u64 bytes, u32& written) {
  ++counters_.reads;
  if (!in_range(header.sector, bytes)) return status_io_error;
  std::array<u8, 4096> chunk;
  for (u64 done = 0; done < bytes; done += chunk.size()) {
    const auto piece = std::span(chunk).first(std::min<u64>(bytes - done, chunk.size()));
    if (!backend_.read(header.sector * sector_bytes + done, piece)) return status_io_error;
    if (!request_.write(memory(), done, piece)) return status_io_error;
    written = static_cast<u32>(done + piece.size());
  }
  counters_.bytes_read += bytes;
  return status_ok;
}

u8 VirtioBlk::transfer_out(const Header& header, u64 bytes) {
  ++counters_.writes;
  if (backend_.read_only() || !in_range(header.sector, bytes)) return status_io_error;
  std::array<u8, 4096> chunk;
  for (u64 done = 0; done < bytes; done += chunk.size()) {
    const auto piece = std::span(chunk).first(std::min<u64>(bytes - done, chunk.size()));
    if (!request_.read(memory(), header_bytes + done, piece)) return status_io_error;
    if (!backend_.write(header.sector * sector_bytes + done, piece)) return status_io_error;
  }
  counters_.bytes_written += bytes;
  return status_ok;
}

bool VirtioBlk::zero_sectors(u64 sector, u64 sectors) {
  static constexpr std::array<u8, 4096> zeros{};
  for (u64 done = 0; done < sectors * sector_bytes; done += zeros.size()) {
    const u64 count = std::min<u64>(sectors * sector_bytes - done, zeros.size());
    if (!backend_.write(sector * sector_bytes + done, std::span(zeros).first(count))) return false;
  }
  return true;
}

// 5.2.6.2: an array of {sector, number of sectors, flags}. Discarding is a hint, and nothing is gained by taking it.
u8 VirtioBlk::discard_or_zero(bool zero, u64 bytes) {
  ++counters_.others;
  if (backend_.read_only() || bytes == 0 || bytes % range_bytes != 0 || bytes / range_bytes > max_ranges) {
    return status_io_error;
  }
  for (u64 at = 0; at < bytes; at += range_bytes) {
    std::array<u8, range_bytes> raw;
    if (!request_.read(memory(), header_bytes + at, raw)) return status_io_error;
    const u64 sector = little_endian(std::span(raw).first(8));
    const u64 sectors = little_endian(std::span(raw).subspan(8, 4));
    if (sectors > max_discard_sectors || !in_range(sector, sectors * sector_bytes)) return status_io_error;
    if (zero && !zero_sectors(sector, sectors)) return status_io_error;
  }
  return status_ok;
}

void VirtioBlk::hash(StateHash& hash) const {
  VirtioPci::hash(hash);
  hash.add(busy_ ? u64{request_.head} + 1 : 0);
  if (moved_) hash.add(written_);
  backend_.hash(hash);
}

}  // namespace bunshin
