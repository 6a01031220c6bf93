#pragma once

// The names of base/types.h where the compiler has no 128-bit integers. This folder comes first in the 32-bit image's search for
// headers, so that base, which all 64-bit code includes, need not know of it.

#include <cstddef>
#include <cstdint>

namespace bunshin {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;

}  // namespace bunshin

#include "base/uint128.h"
