#pragma once

// The x87 FPU's registers as its instructions see them: a stack with tags, a status word with TOP, masked and unmasked
// exceptions (SDM vol. 1, 8.1 and 8.4). Also what FXSAVE, XSAVE and MMX need of them.

#include "base/types.h"
#include "core/state.h"

namespace bunshin::x87 {

/// Status word (SDM vol. 1, figure 8-4).
inline constexpr u16 IE = 0x01, DE = 0x02, ZE = 0x04, OE = 0x08, UE = 0x10, PE = 0x20, SF = 0x40, ES = 0x80, C0 = 0x100,
                     C1 = 0x200, C2 = 0x400, C3 = 0x4000, B = 0x8000;
inline constexpr u16 exceptions = 0x3f;
inline constexpr u16 conditions = C0 | C1 | C2 | C3;
/// Unmasked, these keep the operation from happening at all (SDM vol. 1, 8.5.1-8.5.3); the others are found afterwards.
inline constexpr u16 before_operation = IE | DE | ZE;

/// The QNaN floating-point indefinite (SDM vol. 1, table 4-3).
inline constexpr X87Register indefinite{0xc000000000000000ULL, 0xffff};

inline unsigned physical(const X87State& s, unsigned i) { return (s.top + i) & 7u; }
inline X87Register& st(X87State& s, unsigned i) { return s.registers[physical(s, i)]; }
inline const X87Register& st(const X87State& s, unsigned i) { return s.registers[physical(s, i)]; }
inline bool is_empty(const X87State& s, unsigned i) { return ((s.empty >> physical(s, i)) & 1) != 0; }

inline void mark_empty(X87State& s, unsigned i) { s.empty = static_cast<u8>(s.empty | 1u << physical(s, i)); }
/// Writes ST(i) and tags it valid.
inline void set_st(X87State& s, unsigned i, const X87Register& value) {
  s.registers[physical(s, i)] = value;
  s.empty = static_cast<u8>(s.empty & ~(1u << physical(s, i)));
}
inline void pop(X87State& s) {
  mark_empty(s, 0);
  s.top = (s.top + 1) & 7;
}
/// Pushes without looking at the tag; load() in transfer.h checks it.
inline void push_unchecked(X87State& s, const X87Register& value) {
  s.top = (s.top - 1) & 7;
  set_st(s, 0, value);
}

/// The status word with TOP in bits 13:11, as FNSTSW stores it.
inline u16 status_word(const X87State& s) { return static_cast<u16>(s.status | s.top << 11); }
/// ES and B follow from the flags and the masks (SDM vol. 1, 8.1.3.3).
inline void update_summary(X87State& s) {
  s.status = static_cast<u16>(s.status & ~(ES | B));
  if ((s.status & ~s.control & exceptions) != 0) s.status |= ES | B;
}
inline void set_status_word(X87State& s, u16 v) {
  s.top = (v >> 11) & 7;
  s.status = static_cast<u16>(v & ~0x3800);
  update_summary(s);
}
/// Reserved bits of the control word read as 0, bit 6 as 1.
inline void set_control_word(X87State& s, u16 v) {
  s.control = static_cast<u16>((v & 0x1f3f) | 0x40);
  update_summary(s);
}

inline bool masked(const X87State& s, u16 flags) { return (flags & ~s.control & exceptions) == 0; }
/// Adds an operation's exception flags (and SF) and replaces the conditions in `which` by the operation's.
inline void signal(X87State& s, u16 flags, u16 which = C1) {
  const u16 taken = static_cast<u16>(exceptions | SF | which);
  s.status = static_cast<u16>((s.status & ~which) | (flags & taken));
  if (!masked(s, s.status)) s.status |= ES | B;
}

/// Tags as FNSTENV stores them: 00 valid, 01 zero, 10 special, 11 empty; bits 2i+1:2i belong to physical register i.
u16 full_tag_word(const X87State& s);
void set_full_tag_word(X87State& s, u16 tags);
/// Tags as FXSAVE stores them: bit i set if physical register i is not empty (SDM vol. 1, 10.5.1.1).
inline u8 abridged_tag_word(const X87State& s) { return static_cast<u8>(~s.empty); }
inline void set_abridged_tag_word(X87State& s, u8 tags) { s.empty = static_cast<u8>(~tags); }

/// FNINIT; the data registers keep their contents.
void initialize(X87State& s);
/// FNCLEX.
inline void clear_exceptions(X87State& s) { s.status = static_cast<u16>(s.status & 0x7f00); }

/// Every MMX instruction but EMMS: TOP = 0, all tags valid (SDM vol. 1, 9.5.1).
inline void enter_mmx(X87State& s) {
  s.top = 0;
  s.empty = 0;
}
/// EMMS.
inline void leave_mmx(X87State& s) {
  s.top = 0;
  s.empty = 0xff;
}
/// An MMX register is the mantissa of a physical register; writing it sets the exponent to all ones.
inline u64 mmx(const X87State& s, unsigned i) { return s.registers[i & 7].mantissa; }
inline void set_mmx(X87State& s, unsigned i, u64 value) { s.registers[i & 7] = {value, 0xffff}; }

/// An unmasked exception is pending: the next waiting x87, MMX or FWAIT instruction raises #MF (CR0.NE = 1).
inline bool exception_pending(const X87State& s) { return (s.status & ES) != 0; }
/// The FERR# output (CR0.NE = 0): the platform routes it to IRQ 13. Execution goes on as with IGNNE# asserted.
inline bool ferr(const CpuState& s) { return exception_pending(s.x87) && (s.cr0 & cr0::NE) == 0; }

}  // namespace bunshin::x87
