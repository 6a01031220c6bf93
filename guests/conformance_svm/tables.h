#pragma once

// Page tables for the second dimension and for guests of their own: the lowest GiB onto itself, and a window of 4 KiB pages
// that checks fill.

#include "guests/conformance_svm/machine.h"

namespace guest {

constexpr u64 present = 1, writable = 2, user = 4, accessed = 0x20, dirty = 0x40, large = 0x80, global = 0x100,
              no_execute = u64{1} << 63;

/// Four levels in the form that long mode and a 64-bit host's nested paging share (APM vol. 2, 15.25.3).
struct Tables {
  u64 level4[512], level3[512], level2[512], window2[512], window1[512];
};

/// Physical (nested) or linear (guest) address of the window: the second GiB.
constexpr u64 window = u64{1} << 30;

extern "C" Tables nested_tables, guest_tables;
/// What the window's pages are mapped to: zeroed, but for a RET in each and its number at offset 8.
constexpr unsigned frames = 4;
extern u8 frame_memory[frames][4096];
inline u64 frame(unsigned n) { return reinterpret_cast<u64>(frame_memory[n]); }

/// The map described above; the window's pages absent.
void fill(Tables& tables);
/// prepare() with nested paging over `nested_tables`.
void prepare_nested(Mode mode, Code code);

}  // namespace guest
