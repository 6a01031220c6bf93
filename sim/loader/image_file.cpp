#include "sim/loader/image_file.h"

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace bunshin {

ImageFile ImageFile::open(const std::string& path) {
  constexpr std::uintmax_t largest = std::uintmax_t{4} << 30;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) throw std::runtime_error(path + ": is a directory");
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + ": cannot be read: no such file, or no permission");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) throw std::runtime_error(path + ": is not a regular file");
  if (size > largest) throw std::runtime_error(path + ": is larger than 4 GiB");
  std::vector<u8> bytes(static_cast<std::size_t>(size));
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  bytes.resize(static_cast<std::size_t>(in.gcount()));
  return {path, std::move(bytes)};
}

std::span<const u8> ImageFile::slice(u64 offset, u64 length, std::string_view what) const {
  if (offset > bytes_.size() || length > bytes_.size() - offset) {
    fail(fmt::format("truncated: the {} at offset {:#x} ({} bytes) lies beyond the end of the file ({} bytes)", what,
                     offset, length, bytes_.size()));
  }
  return std::span<const u8>(bytes_).subspan(offset, length);
}

void ImageFile::fail(const std::string& what) const { throw std::runtime_error(name_ + ": " + what); }

}  // namespace bunshin
