#pragma once

// The hash of a machine's architectural state: the witness that two runs were the same run.

#include <span>

#include "base/types.h"

namespace bunshin {

/// Order-dependent 64-bit hash (multiply-rotate per 8-byte word, finalised like MurmurHash3). Not cryptographic.
class StateHash {
 public:
  void add(u64 word) {
    word *= 0x87c37b91114253d5ULL;
    word = (word << 31) | (word >> 33);
    state_ ^= word * 0x4cf5ad432745937fULL;
    state_ = ((state_ << 27) | (state_ >> 37)) * 5 + 0x52dce729;
    ++length_;
  }
  /// Adds raw bytes; the length counts, so adjacent spans do not run together.
  void add(std::span<const u8> bytes);
  u64 value() const {
    u64 h = state_ ^ length_;
    h ^= h >> 33;
    h *= 0xff51afd7ed558ccdULL;
    h ^= h >> 33;
    h *= 0xc4ceb9fe1a85ec53ULL;
    return h ^ (h >> 33);
  }

 private:
  u64 state_ = 0x9e3779b97f4a7c15ULL;
  u64 length_ = 0;
};

}  // namespace bunshin
