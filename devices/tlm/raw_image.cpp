#include "devices/tlm/raw_image.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace bunshin {

RawImage::RawImage(const std::string& file, bool snapshot) : snapshot_(snapshot) {
  file_ = open(file.c_str(), (snapshot ? O_RDONLY : O_RDWR) | O_CLOEXEC);
  if (file_ < 0) throw std::runtime_error(file + ": cannot open the disk image: " + std::strerror(errno));
  struct stat kind {};
  const bool storage = fstat(file_, &kind) == 0 && (S_ISREG(kind.st_mode) || S_ISBLK(kind.st_mode));
  const off_t end = storage ? lseek(file_, 0, SEEK_END) : 0;
  if (end < static_cast<off_t>(VirtioBlk::sector_bytes)) {
    close(file_);
    throw std::runtime_error(
        file + ": not a disk image: it must be a regular file or block device of at least one 512-byte sector");
  }
  size_ = static_cast<u64>(end) / VirtioBlk::sector_bytes * VirtioBlk::sector_bytes;
}

RawImage::~RawImage() { close(file_); }

bool RawImage::read_file(u64 offset, std::span<u8> data) const {
  for (std::size_t done = 0; done < data.size();) {
    const ssize_t count = pread(file_, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;  // an error, or somebody truncated the file under us
    done += static_cast<std::size_t>(count);
  }
  return true;
}

RawImage::Block* RawImage::block(u64 number, bool create) {
  const auto found = written_.find(number);
  if (found != written_.end()) return found->second.get();
  if (!create) return nullptr;
  auto copy = std::make_unique<Block>();
  copy->fill(0);
  const u64 begin = number * block_bytes;
  if (!read_file(begin, std::span(*copy).first(std::min(block_bytes, size_ - begin)))) return nullptr;
  return (written_[number] = std::move(copy)).get();
}

bool RawImage::read(u64 offset, std::span<u8> data) {
  for (std::size_t done = 0; done < data.size();) {
    const u64 at = offset + done;
    const std::size_t count = std::min<u64>(data.size() - done, block_bytes - at % block_bytes);
    if (const Block* copy = block(at / block_bytes, false)) {
      std::memcpy(data.data() + done, copy->data() + at % block_bytes, count);
    } else if (!read_file(at, data.subspan(done, count))) {
      return false;
    }
    done += count;
  }
  return true;
}

bool RawImage::write(u64 offset, std::span<const u8> data) {
  for (std::size_t done = 0; done < data.size();) {
    const u64 at = offset + done;
    const std::size_t count = std::min<u64>(data.size() - done, block_bytes - at % block_bytes);
    if (snapshot_) {
      Block* copy = block(at / block_bytes, true);
      if (copy == nullptr) return false;
      std::memcpy(copy->data() + at % block_bytes, data.data() + done, count);
      done += count;
    } else {
      const ssize_t written = pwrite(file_, data.data() + done, count, static_cast<off_t>(at));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return false;
      done += static_cast<std::size_t>(written);
    }
  }
  return true;
}

bool RawImage::flush() { return snapshot_ || fdatasync(file_) == 0; }

void RawImage::hash(StateHash& hash) const {
  std::vector<u64> numbers;
  numbers.reserve(written_.size());
  for (const auto& entry : written_) numbers.push_back(entry.first);
  std::ranges::sort(numbers);
  for (const u64 number : numbers) {
    hash.add(number);
    hash.add(*written_.at(number));
  }
}

}  // namespace bunshin
