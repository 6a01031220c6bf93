#pragma once

// What segment tables and task-state segments look like in memory.

#include "vmm-model/registers.h"

namespace bunshin::vmm {

/// Where a TSS keeps what (SDM vol. 3, figures 8-2 and 8-10): IP, FLAGS, eight general registers, selectors.
struct TaskLayout {
  unsigned bytes;      ///< the least that its limit allows
  unsigned width;      ///< of a register
  unsigned dynamic;    ///< what a switch saves begins here
  unsigned selectors;  ///< ES, CS, SS, DS, and FS, GS of the wide one
  unsigned ldt;
};
inline constexpr TaskLayout wide_layout{0x68, 4, 0x20, 6, 0x60}, narrow_layout{0x2c, 2, 0x0e, 4, 0x2a};
inline constexpr u16 wide_tss = 8;  ///< of a TSS descriptor's type

constexpr const TaskLayout& layout_of(u16 attributes) {
  return (attributes & wide_tss) != 0 ? wide_layout : narrow_layout;
}

/// A descriptor as the tables have it, and where (SDM vol. 3, figure 3-8).
struct SegmentDescriptor {
  u64 bits = 0;
  u64 address = 0;

  u16 attributes() const { return static_cast<u16>((bits >> 40 & 0xff) | (bits >> 52 & 0xf) << 8); }
  bool present() const { return (attributes() & segment::P) != 0; }
  bool is(u16 mask, u16 value) const { return (attributes() & mask) == value; }
  unsigned dpl() const { return attributes() >> segment::dpl_shift & 3u; }
  SegmentState state(u16 selector) const {
    u32 limit = static_cast<u32>((bits & 0xffff) | (bits >> 32 & 0xf'0000));
    if ((attributes() & segment::G) != 0) limit = limit << 12 | 0xfff;
    return {selector, attributes(), limit, (bits >> 16 & 0xff'ffff) | (bits >> 32 & 0xff00'0000)};
  }
};

}  // namespace bunshin::vmm
