#pragma once

// The stack as far transfers and event delivery use it: pushes and pops move a private stack pointer, and nothing is
// committed until the whole transfer has been checked (SDM vol. 1, 6.2).

#include "core/cpu.h"

namespace bunshin {

/// Width of the stack pointer in bits: 64-bit mode has 64, otherwise SS.B chooses (SDM vol. 1, 6.2.3).
inline unsigned stack_bits(const Cpu& cpu) {
  return cpu.mode.bits == 64 ? 64 : cpu.state.segment(Seg::SS).is_big() ? 32 : 16;
}

/// `pointer` moved by `delta` bytes: a 16-bit stack pointer leaves the bits above it alone.
inline u64 moved_stack_pointer(u64 pointer, unsigned bits, u64 delta) {
  if (bits == 64) return pointer + delta;
  if (bits == 32) return static_cast<u32>(pointer + delta);
  return (pointer & ~u64{0xffff}) | static_cast<u16>(pointer + delta);
}

/// Loads rSP with a value popped or found in memory, for a stack of this width.
inline void set_stack_pointer(CpuState& s, unsigned bits, u64 value) {
  s.gpr[RSP] = bits == 16   ? (s.gpr[RSP] & ~u64{0xffff}) | static_cast<u16>(value)
               : bits == 32 ? static_cast<u32>(value)
                            : value;
}

class Stack {
 public:
  /// SS:rSP, accessed with the current privilege.
  explicit Stack(Cpu& cpu) : cpu_(cpu), bits_(stack_bits(cpu)), pointer_(cpu.state.gpr[RSP]) {}
  /// A stack of a more privileged level that is being switched to; outside 64-bit mode. `segment` must outlive this.
  Stack(Cpu& cpu, const Segment& segment, u64 pointer)
      : cpu_(cpu), fresh_(&segment), bits_(segment.is_big() ? 32 : 16), pointer_(pointer) {}

  /// `width` is 2, 4 or 8 bytes. False: the fault is raised, #SS with the new stack's selector or with 0.
  [[nodiscard]] bool push(unsigned width, u64 value);
  [[nodiscard]] bool pop(unsigned width, u64& value);
  void skip(u64 bytes) { pointer_ = moved_stack_pointer(pointer_, bits_, bytes); }
  u64 pointer() const { return pointer_; }
  void commit() { cpu_.state.gpr[RSP] = pointer_; }

 private:
  u64 offset() const { return pointer_ & (~u64{0} >> (64 - bits_)); }
  bool push_fresh(unsigned width, u64 value);

  Cpu& cpu_;
  const Segment* fresh_ = nullptr;
  unsigned bits_;
  u64 pointer_;
};

}  // namespace bunshin
