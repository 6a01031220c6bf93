#pragma once

// Writes the few instructions that benchmarks of code layout are made of.

#include "guests/micro/micro.h"

namespace micro {

class CodeWriter {
 public:
  CodeWriter() = default;
  explicit CodeWriter(u8* at) : at_(at) {}

  void move_to(u8* at) { at_ = at; }
  u8* at() const { return at_; }
  template <typename... Bytes>
  void bytes(Bytes... values) {
    ((*at_++ = static_cast<u8>(values)), ...);
  }
  void word(u32 value) { bytes(value, value >> 8, value >> 16, value >> 24); }

  /// JMP rel32
  void jump(const u8* target) {
    bytes(0xe9);
    relative(target);
  }
  /// DEC RDI; JNZ target; RET
  void loop_rdi(const u8* target) {
    bytes(0x48, 0xff, 0xcf, 0x0f, 0x85);
    relative(target);
    bytes(0xc3);
  }
  /// MOV RAX, [RSI + 8 index]; MOV RAX, [RAX]; MOV [RSI + 8 index], RAX
  void chase_in_memory(u32 index) {
    bytes(0x48, 0x8b, 0x86);
    word(8 * index);
    bytes(0x48, 0x8b, 0x00, 0x48, 0x89, 0x86);
    word(8 * index);
  }

 private:
  void relative(const u8* target) { word(static_cast<u32>(target - (at_ + 4))); }

  u8* at_ = nullptr;
};

}  // namespace micro
