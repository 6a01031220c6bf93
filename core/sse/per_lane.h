#pragma once

// Operations whose immediate has bits for each lane of a YMM register.

#include "core/sse/vector.h"

namespace bunshin::sse {

/// The low lane uses the immediate as it is, the high one from bit `bits` on.
template <ImmOp op, unsigned bits>
struct PerLane {
  Vec operator()(Vec d, Vec s, u8 imm) const { return op(d, s, imm); }
  Vec256 operator()(const Vec256& d, const Vec256& s, u8 imm) const {
    return {op(d.low, s.low, imm), op(d.high, s.high, static_cast<u8>(imm >> bits))};
  }
};
template <ImmOp op, unsigned bits>
inline constexpr PerLane<op, bits> per_lane{};

}  // namespace bunshin::sse
