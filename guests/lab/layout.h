#pragma once

// What a linear address means: the kernel sees physical memory below `user_begin`, a program what lies above.

#include "guests/runtime/processor.h"

namespace lab {

using guest::u16;
using guest::u32;
using guest::u64;
using guest::u8;
using word = guest::uptr;

constexpr bool long_mode = sizeof(void*) == 8;

/// Four levels of 512 entries, or two of 1024 (Intel SDM vol. 3, 4.3 and 4.5).
constexpr unsigned levels = long_mode ? 4 : 2, index_bits = long_mode ? 9 : 10, table_entries = 1u << index_bits;
constexpr word page_bytes = 4096, large_bytes = page_bytes << index_bits;

constexpr word user_begin = 0x4000'0000, user_end = 0x8000'0000;
/// The image of all programs, memory that is zero until it is written, large pages, the stack.
constexpr word image_begin = user_begin, heap_begin = 0x4800'0000, heap_end = 0x6000'0000;
constexpr word large_begin = heap_end, large_end = 0x7000'0000, stack_begin = 0x7fff'0000;

constexpr word round_down(word value, word unit) { return value & ~(unit - 1); }
constexpr word round_up(word value, word unit) { return (value + unit - 1) & ~(unit - 1); }

/// The kernel's view of physical memory.
template <class T>
T* at_physical(word address) {
  return reinterpret_cast<T*>(address);
}

}  // namespace lab
