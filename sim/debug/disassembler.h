#pragma once

// Instructions as people read them (Capstone, Intel syntax).

#include <memory>
#include <span>
#include <string>

#include "base/types.h"

namespace bunshin {

struct Disassembled {
  unsigned length = 0;  ///< bytes; at least 1 if there was a byte
  std::string text;     ///< "(bad)" if the bytes are no instruction
};

class Disassembler {
 public:
  /// `bits` is 16, 32 or 64.
  explicit Disassembler(unsigned bits);
  ~Disassembler();
  Disassembler(Disassembler&&) noexcept;
  Disassembler& operator=(Disassembler&&) = delete;

  /// The instruction that begins at bytes[0], which has address `address`.
  Disassembled at(std::span<const u8> bytes, u64 address) const;

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

/// "48 89 e5"
std::string hex_bytes(std::span<const u8> bytes);

}  // namespace bunshin
