#pragma once

#include <algorithm>
#include <span>

#include "base/types.h"

namespace bunshin::fuzz {

/// The fuzzer's bytes, read from front to back as whatever the target needs. Behind their end there are zeros.
class Input {
 public:
  Input(const u8* data, std::size_t size) : bytes_(data, size) {}

  bool empty() const { return bytes_.empty(); }
  u8 byte() { return static_cast<u8>(number(1)); }
  u16 word() { return static_cast<u16>(number(2)); }
  u32 dword() { return static_cast<u32>(number(4)); }
  u64 qword() { return number(8); }
  /// Little-endian, of `count` bytes (up to 8).
  u64 number(unsigned count) {
    u64 value = 0;
    const std::span<const u8> taken = take(count);
    for (std::size_t i = taken.size(); i-- > 0;) value = value << 8 | taken[i];
    return value;
  }
  /// One of a table's elements.
  template <class T, std::size_t count>
  const T& pick(const T (&table)[count]) {
    return table[byte() % count];
  }
  /// At most `count` bytes.
  std::span<const u8> take(std::size_t count) {
    const std::span<const u8> taken = bytes_.first(std::min(count, bytes_.size()));
    bytes_ = bytes_.subspan(taken.size());
    return taken;
  }

 private:
  std::span<const u8> bytes_;
};

}  // namespace bunshin::fuzz
