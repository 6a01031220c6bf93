#pragma once

// Semantics of elements that leave XMM registers: for general registers and memory, where legacy and VEX-encoded
// instructions do the same.

#include <bit>
#include <span>

#include "core/cpu.h"
#include "core/sse/shuffle.h"

namespace bunshin::sse {

/// MOVD/MOVQ r/m, xmm.
template <class Int>
struct XmmMoveFrom {
  static bool from_register(Cpu& cpu, const Record& r) {
    cpu.set_reg<Int>(r.rm, cpu.state.xmm[r.reg].get<Int>(0));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) { return cpu.store(r, cpu.state.xmm[r.reg].get<Int>(0)); }
};

/// PEXTRB, PEXTRW, PEXTRD, PEXTRQ, EXTRACTPS: registers receive the element zero-extended.
template <class T>
struct Extract {
  static bool from_register(Cpu& cpu, const Record& r) {
    using Wide = std::conditional_t<sizeof(T) == 8, u64, u32>;
    cpu.set_reg<Wide>(r.rm, extract<T>(read(cpu.state.xmm[r.reg]), static_cast<u8>(r.imm)));
    return true;
  }
  static bool from_memory(Cpu& cpu, const Record& r) {
    return cpu.store(r, extract<T>(read(cpu.state.xmm[r.reg]), static_cast<u8>(r.imm)));
  }
};
/// PEXTRW of SSE2, whose general register is ModRM.reg.
inline bool pextrw(Cpu& cpu, const Record& r) {
  cpu.set_reg<u32>(r.reg, extract<u16>(read(cpu.state.xmm[r.rm]), static_cast<u8>(r.imm)));
  return true;
}

/// Sign bits of the elements.
inline u32 movmskps(Vec v) { return static_cast<u32>(_mm_movemask_ps(_mm_castsi128_ps(v))); }
inline u32 movmskpd(Vec v) { return static_cast<u32>(_mm_movemask_pd(_mm_castsi128_pd(v))); }
template <u32 (*signs)(Vec)>
bool xmm_signs(Cpu& cpu, const Record& r) {
  cpu.set_reg<u32>(r.reg, signs(read(cpu.state.xmm[r.rm])));
  return true;
}

/// Masked moves and gathers never raise #AC (SDM vol. 2, VMASKMOV, VPGATHERDD): with RFLAGS.AC they go byte by byte.
template <class T>
[[nodiscard]] bool load_element(Cpu& cpu, Seg segment, u64 offset, T& v) {
  if ((cpu.state.flags.system & rflags::AC) == 0) [[likely]]
    return cpu.load(segment, offset, v);
  std::array<u8, sizeof(T)> bytes;
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.load(segment, offset + i, bytes[i])) return false;
  }
  std::memcpy(&v, bytes.data(), sizeof(T));
  return true;
}
template <class T>
[[nodiscard]] bool probe_element(Cpu& cpu, Seg segment, u64 offset) {
  if ((cpu.state.flags.system & rflags::AC) == 0) [[likely]]
    return cpu.probe_write(segment, offset, sizeof(T));
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.probe_write(segment, offset + i, 1)) return false;
  }
  return true;
}
template <class T>
[[nodiscard]] bool store_element(Cpu& cpu, Seg segment, u64 offset, const T& v) {
  if ((cpu.state.flags.system & rflags::AC) == 0) [[likely]]
    return cpu.store(segment, offset, v);
  std::array<u8, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &v, sizeof(T));
  for (unsigned i = 0; i < sizeof(T); ++i) {
    if (!cpu.store(segment, offset + i, bytes[i])) return false;
  }
  return true;
}

/// Stores the elements whose bits in `selected` are set, or none: what faults leaves memory as it was. `offset` gives an
/// element's offset in the record's segment.
template <class T, class Offset>
bool store_selected(Cpu& cpu, const Record& r, std::span<const T> elements, u32 selected, Offset offset) {
  const Seg segment = cpu.segment_of(r);
  for (u32 rest = selected; rest != 0; rest &= rest - 1) {
    if (!probe_element<T>(cpu, segment, offset(static_cast<unsigned>(std::countr_zero(rest))))) return false;
  }
  for (; selected != 0; selected &= selected - 1) {
    const auto i = static_cast<unsigned>(std::countr_zero(selected));
    if (!store_element(cpu, segment, offset(i), elements[i])) return false;
  }
  return true;
}

/// MASKMOVDQU: the bytes whose mask byte has its sign set, to DS:rDI (segment override applies).
inline bool maskmovdqu(Cpu& cpu, const Record& r) {
  const Lanes<u8> data = lanes<u8>(read(cpu.state.xmm[r.reg]));
  const u64 address_mask = ~u64{0} >> (64 - 8 * r.address_bytes());
  return store_selected<u8>(cpu, r, data, pmovmskb(read(cpu.state.xmm[r.rm])),
                            [&](unsigned i) { return (cpu.state.gpr[RDI] + i) & address_mask; });
}

}  // namespace bunshin::sse
