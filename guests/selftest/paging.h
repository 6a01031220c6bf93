#pragma once

// A window of 4 KiB pages whose entries the checks set, away from the identity map.

#include "guests/runtime/processor.h"

namespace guest {

constexpr u64 window = u64{256} << 30;

enum PageBits : u64 {
  Present = 1,
  Writable = 2,
  User = 4,
  Accessed = 0x20,
  Dirty = 0x40,
  NoExecute = u64{1} << 63,
  Reserved = u64{1} << 51,
};

/// Maps page `index` of the window onto frame `frame` (0 or 1, memory of our own) with these bits.
volatile u64* map_page(unsigned index, unsigned frame, u64 bits);
volatile u64* frame_memory(unsigned frame);

}  // namespace guest
