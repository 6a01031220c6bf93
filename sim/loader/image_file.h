#pragma once

// A file given to a loader: bytes that nobody has checked yet. Every access names what it reads, so that a truncated or
// absurd file ends in a message and never in a stray read.

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/types.h"

namespace bunshin {

class ImageFile {
 public:
  /// Reads a whole file. Throws std::runtime_error naming it if it cannot be read or is larger than 4 GiB.
  static ImageFile open(const std::string& path);
  /// Takes bytes that are in memory; `name` stands for them in messages.
  ImageFile(std::string name, std::vector<u8> bytes) : name_(std::move(name)), bytes_(std::move(bytes)) {}

  const std::string& name() const { return name_; }
  u64 size() const { return bytes_.size(); }
  std::span<const u8> bytes() const { return bytes_; }

  /// The little-endian value at `offset`. Throws std::runtime_error if the file ends before it does.
  template <class T>
  T get(u64 offset, std::string_view what) const {
    static_assert(std::is_trivially_copyable_v<T>);
    T value;
    std::memcpy(&value, slice(offset, sizeof(T), what).data(), sizeof(T));
    return value;
  }
  /// Throws std::runtime_error if [offset, offset + length) is not within the file.
  std::span<const u8> slice(u64 offset, u64 length, std::string_view what) const;

  /// Throws std::runtime_error "FILE: what".
  [[noreturn]] void fail(const std::string& what) const;

 private:
  std::string name_;
  std::vector<u8> bytes_;
};

}  // namespace bunshin
