#pragma once

// A byte for each way of a set, eight to a word, which are looked at together.

#include "base/types.h"

namespace bunshin::packed {

inline constexpr unsigned bytes_a_word = 8;
inline constexpr u64 low_bits = 0x0101010101010101ULL;
inline constexpr u64 high_bits = 0x8080808080808080ULL;

inline unsigned byte(const u64* words, unsigned index) {
  return (words[index / bytes_a_word] >> (index % bytes_a_word * 8)) & 0xff;
}
inline void set_byte(u64* words, unsigned index, u64 value) {
  u64& word = words[index / bytes_a_word];
  const unsigned shift = index % bytes_a_word * 8;
  word = (word & ~(u64{0xff} << shift)) | value << shift;
}
/// The high bit of each byte of `word` that is `value`. The lowest is right; above it, one that differs in bit 0 alone may look
/// the same.
inline u64 matches(u64 word, u64 value) {
  const u64 differs = word ^ value * low_bits;
  return (differs - low_bits) & ~differs & high_bits;
}

}  // namespace bunshin::packed
