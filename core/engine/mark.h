#pragma once

// The magic instruction: a multi-byte NOP that real processors execute as one, whose displacement tells a simulator where a
// region of interest begins or ends (docs/regions.md; guests include guests/runtime/bunshin_mark.h).
//
//   0F 1F 84 D2 disp32     nopl disp32(%rdx,%rdx,8)     disp32 = signature << 16 | operation << 12 | number
//
// Needs 32- or 64-bit addressing: 16-bit code has the prefix 67 in front.

#include "core/decode/row.h"

namespace bunshin::mark {

inline constexpr u32 signature = 0x4e42;

enum class Operation : u8 {
  Begin = 0,    ///< of region `number`
  End = 1,      ///< of region `number`
  Request = 2,  ///< of a timing: `number` is a TimingMode of sim/timing_mode.h
  Point = 3,    ///< nothing by itself
};

/// The instruction's low half of the displacement.
struct Code {
  u16 raw = 0;
  u8 operation() const { return static_cast<u8>(raw >> 12); }
  u16 number() const { return raw & 0xfff; }
};

/// Whether a decoded 0F 1F, complete but for its handler, is a mark.
bool is_mark(const Decoded& decoded);
/// The row of marks, which no encoding leads to by itself: they run alone, so that the time is exact and the machine has
/// its say behind them. Record::row stays the NOP's.
const Row& row();

}  // namespace bunshin::mark
