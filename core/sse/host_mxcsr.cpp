#include "core/sse/host_mxcsr.h"

namespace bunshin::sse {

namespace {

template <class T>
bool any_denormal(Vec v, unsigned count) {
  constexpr unsigned fraction_bits = sizeof(T) == 2 ? 10 : sizeof(T) == 4 ? 23 : 52;
  const Lanes<T> a = lanes<T>(v);
  for (unsigned i = 0; i < count; ++i) {
    const T magnitude = static_cast<T>(a[i] << 1);
    if (magnitude != 0 && (magnitude >> (fraction_bits + 1)) == 0) return true;
  }
  return false;
}

}  // namespace

bool has_denormal(Vec v, Tiny elements) {
  switch (elements) {
    case Tiny::Never: return false;
    case Tiny::Ss: return any_denormal<u32>(v, 1);
    case Tiny::Sd: return any_denormal<u64>(v, 1);
    case Tiny::Ps: return any_denormal<u32>(v, 4);
    case Tiny::Pd: return any_denormal<u64>(v, 2);
    case Tiny::LowPs: return any_denormal<u32>(v, 2);
    case Tiny::Ph: return any_denormal<u16>(v, 8);
    case Tiny::LowPh: return any_denormal<u16>(v, 4);
  }
  return false;
}

u32 begin_unmasked(const Cpu& cpu) {
  const u32 before = _mm_getcsr();
  u32 control = cpu.state.mxcsr & (mxcsr::RC | mxcsr::DAZ | mxcsr::FTZ);
  // Flush-to-zero is the masked response to underflow (SDM vol. 1, 10.2.3.3).
  if ((cpu.state.mxcsr & mxcsr::UM) == 0) control &= ~mxcsr::FTZ;
  _mm_setcsr(control | mxcsr::masks);
  return before;
}

bool end_unmasked(Cpu& cpu, u32 before, bool denormal) {
  u32 raised = _mm_getcsr() & mxcsr::flags;
  const u32 enabled = ~(cpu.state.mxcsr >> mxcsr::masks_shift) & mxcsr::flags;
  if (denormal) raised |= mxcsr::UE & enabled;
  // An exception found before computing ends the operation before the others can be found.
  constexpr u32 before_computation = mxcsr::IE | mxcsr::DE | mxcsr::ZE;
  if ((raised & enabled & before_computation) != 0) raised &= before_computation;
  _mm_setcsr(before | raised);
  if ((raised & enabled) == 0) return true;
  return cpu.raise((cpu.state.cr4 & cr4::OSXMMEXCPT) != 0 ? Vector::XM : Vector::UD);
}

}  // namespace bunshin::sse
