#pragma once

// What the host's processor and the modeled one are both given, and what both give back.

#include <array>
#include <optional>

#include "core/state.h"

namespace bunshin::oracle {

/// The kinds of user code that an operating system in long mode can run (SDM vol. 3, 2.2).
enum class CodeKind : u8 { Long, Compatibility, Compatibility16 };

/// Linear addresses, the same on host and guest. Everything else below 2 GiB is unmapped on both.
inline constexpr u64 data_begin = 0x20'0000;  ///< writable
inline constexpr u64 data_end = 0x20'4000;
inline constexpr u64 read_only_end = 0x20'5000;  ///< [data_end, read_only_end) is readable
inline constexpr u64 code_begin = 0x30'0000;
inline constexpr u64 code_end = 0x30'2000;
/// Of the code segment: 16-bit code reaches 64 KiB.
inline constexpr u64 code_base(CodeKind kind) { return kind == CodeKind::Compatibility16 ? code_begin : 0; }
/// Host only: what the trampoline loads and stores, and the way back from 32-bit code.
inline constexpr u64 control_block = 0x5b3a'6000, return_gate = 0x5b3a'7000;
/// An access here is the host's alone.
inline constexpr bool is_host_only(u64 address) {
  return address + 64 >= control_block && address < return_gate + 4096;
}

/// The image of XSAVE in 64-bit mode, standard form, with the components x87, SSE and AVX: 512 bytes as FXSAVE has them
/// (SDM vol. 1, table 10-2), the header, the upper halves of the YMM registers (13.4).
struct alignas(64) FxImage {
  static constexpr unsigned size = 832, components = 7;
  std::array<u8, size> bytes{};

  template <class T>
  T get(unsigned offset) const {
    T v;
    std::memcpy(&v, bytes.data() + offset, sizeof(T));
    return v;
  }
  template <class T>
  void set(unsigned offset, T v) {
    std::memcpy(bytes.data() + offset, &v, sizeof(T));
  }
  static constexpr unsigned control = 0, status = 2, tags = 4, mxcsr = 24, st0 = 32, xmm0 = 160, in_use = 512,
                            upper0 = 576;
};

struct Registers {
  std::array<u64, 16> gpr{};
  u64 flags = 0;
  FxImage fx;
  std::array<u16, 6> selectors{};  ///< in the order of Seg; CS on return only
  u64 fs_base = 0, gs_base = 0;
};

struct Trap {
  u8 vector = 0;
  u64 error_code = 0;
  u64 address = 0;  ///< CR2, of #PF only
};

struct Outcome {
  Registers registers;
  u64 rip = 0;
  std::optional<Trap> trap;
};

/// Small, fast and seeded: the same cases on every host.
class Random {
 public:
  explicit Random(u64 seed) : state_(seed) {}
  u64 next() {
    state_ += 0x9e3779b97f4a7c15;
    u64 z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  u64 below(u64 n) { return next() % n; }
  bool percent(unsigned p) { return below(100) < p; }
  u8 byte() { return static_cast<u8>(next()); }
  template <class Range>
  auto pick(const Range& range) {
    return range[below(std::size(range))];
  }

 private:
  u64 state_;
};

}  // namespace bunshin::oracle
