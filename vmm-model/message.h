#pragma once

// Text made without a heap.

#include <array>
#include <string_view>

#include "base/types.h"

namespace bunshin::vmm {

struct Hex {
  u64 value = 0;
};
inline Hex hex(u64 value) { return {value}; }

/// What does not fit is cut off.
class Message {
 public:
  Message& operator<<(std::string_view text) {
    for (const char c : text) {
      if (used_ < buffer_.size()) buffer_[used_++] = c;
    }
    return *this;
  }
  Message& operator<<(u64 value) { return number(value, 10); }
  Message& operator<<(Hex value) { return (*this << "0x").number(value.value, 16); }
  std::string_view text() const { return {buffer_.data(), used_}; }

 private:
  Message& number(u64 value, unsigned base) {
    std::array<char, 20> digits{};
    unsigned count = 0;
    do {
      digits[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count != 0) *this << std::string_view(&digits[--count], 1);
    return *this;
  }

  std::array<char, 512> buffer_{};
  std::size_t used_ = 0;
};

}  // namespace bunshin::vmm
