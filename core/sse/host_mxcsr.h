#pragma once

// The host's MXCSR as the guest's. While a core runs, the host rounds, flushes and collects sticky flags under the
// guest's MXCSR with all six exceptions masked, so an ordinary floating-point instruction needs no bookkeeping at
// all. CpuState::mxcsr then holds the guest's control bits (31:6) exactly, and the sticky flags (5:0) as of the last
// entry: read it through current_mxcsr().

#include <xmmintrin.h>

#include "core/cpu.h"
#include "core/sse/vector.h"

namespace bunshin {

namespace mxcsr {
inline constexpr u32 IE = 1, DE = 2, ZE = 4, OE = 8, UE = 0x10, PE = 0x20, DAZ = 0x40, RC = 0x6000, FTZ = 0x8000;
inline constexpr u32 UM = 0x800;
inline constexpr u32 flags = 0x3f, masks = 0x1f80, masks_shift = 7;
inline constexpr u32 initial = 0x1f80;
/// MXCSR_MASK of the FXSAVE image: the bits that may be set.
inline constexpr u32 writable = 0xffff;
}  // namespace mxcsr

/// Alive while a core executes on this host thread. Code called from inside that computes in floating point for itself
/// (devices, statistics) wraps the computation in OwnMxcsr.
class HostMxcsr {
 public:
  explicit HostMxcsr(CpuState& state) : state_(state), host_(_mm_getcsr()) {
    _mm_setcsr((state.mxcsr & mxcsr::writable) | mxcsr::masks);
  }
  explicit HostMxcsr(Cpu& cpu) : HostMxcsr(cpu.state) {}
  ~HostMxcsr() {
    state_.mxcsr |= _mm_getcsr() & mxcsr::flags;
    _mm_setcsr(host_);
  }
  HostMxcsr(const HostMxcsr&) = delete;
  HostMxcsr& operator=(const HostMxcsr&) = delete;

 private:
  CpuState& state_;
  u32 host_;
};

/// The simulator's own floating-point environment, for a while inside HostMxcsr.
class OwnMxcsr {
 public:
  OwnMxcsr() : guest_(_mm_getcsr()) { _mm_setcsr(mxcsr::initial); }
  ~OwnMxcsr() { _mm_setcsr(guest_); }
  OwnMxcsr(const OwnMxcsr&) = delete;
  OwnMxcsr& operator=(const OwnMxcsr&) = delete;

 private:
  u32 guest_;
};

/// The guest's MXCSR now (STMXCSR, FXSAVE, XSAVE). HostMxcsr must be alive.
inline u32 current_mxcsr(const Cpu& cpu) { return (cpu.state.mxcsr & ~mxcsr::flags) | (_mm_getcsr() & mxcsr::flags); }
/// Replaces the guest's MXCSR; `value` has no reserved bits (the caller raised #GP otherwise). HostMxcsr must be alive.
inline void set_mxcsr(Cpu& cpu, u32 value) {
  cpu.state.mxcsr = value;
  _mm_setcsr(value | mxcsr::masks);
}

namespace sse {

/// Which elements of a result may have underflowed: with UE unmasked, an exact denormal result is an underflow too (SDM
/// vol. 1, 4.9.1.5), which the host's masked instruction does not flag.
/// LowPs: the low two singles; Ph and LowPh: eight and the low four half-precision elements.
enum class Tiny : u8 { Never, Ss, Sd, Ps, Pd, LowPs, Ph, LowPh };
bool has_denormal(Vec v, Tiny elements);
inline bool has_denormal(const Vec256& v, Tiny elements) {
  return has_denormal(v.low, elements) || has_denormal(v.high, elements);
}

inline bool all_masked(const CpuState& state) { return (~state.mxcsr & mxcsr::masks) == 0; }

/// Brackets an operation of a guest that has exceptions unmasked: the flags this operation raises are collected alone.
/// Returns the host's MXCSR to be handed to end_unmasked.
u32 begin_unmasked(const Cpu& cpu);
/// False, with #XM (or #UD without CR4.OSXMMEXCPT) raised, if the operation met an unmasked exception; `denormal`: a
/// result for which underflow counts is denormal. Sticky flags are updated in either case (SDM vol. 1, 11.5.2,
/// 11.5.3).
bool end_unmasked(Cpu& cpu, u32 before, bool denormal);

/// Runs `compute`, which must change nothing but its own variables; false if it met an unmasked exception.
template <class Compute>
[[gnu::always_inline]] inline bool compute_checked(Cpu& cpu, const Compute& compute) {
  if (all_masked(cpu.state)) [[likely]] {
    compute();
    return true;
  }
  const u32 before = begin_unmasked(cpu);
  compute();
  return end_unmasked(cpu, before, false);
}
template <Tiny elements, class Result, class Compute>
[[gnu::always_inline]] inline bool compute_vector(Cpu& cpu, Result& out, const Compute& compute) {
  if (all_masked(cpu.state)) [[likely]] {
    out = compute();
    return true;
  }
  const u32 before = begin_unmasked(cpu);
  const Result result = compute();
  if (!end_unmasked(cpu, before, has_denormal(result, elements))) return false;
  out = result;
  return true;
}

}  // namespace sse
}  // namespace bunshin
