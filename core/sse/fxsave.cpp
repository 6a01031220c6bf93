// FXSAVE, FXRSTOR and the legacy region of XSAVE (SDM vol. 1, 10.5; vol. 2, FXSAVE).

#include <algorithm>

#include "core/sse/bind.h"
#include "core/sse/memory_area.h"
#include "core/sse/xsave.h"

namespace bunshin::sse {

namespace {

template <class T>
void put(LegacyImage& image, unsigned at, T v) {
  std::memcpy(image.data() + at, &v, sizeof(v));
}
template <class T>
T get(const LegacyImage& image, unsigned at) {
  T v;
  std::memcpy(&v, image.data() + at, sizeof(v));
  return v;
}
constexpr unsigned st_area = 32, xmm_area = 160;

LegacyFormat format_of(const Cpu& cpu, const Record& r) {
  return {.wide_pointers = r.operand_bytes() == 8, .all_registers = cpu.mode.bits == 64};
}

/// AMD's fast FXSAVE leaves the XMM registers out at CPL 0 in 64-bit mode (APM vol. 2, 3.1.7).
bool includes_xmm(const Cpu& cpu) {
  const bool fast = (cpu.state.msr.efer & efer::FFXSR) != 0 && cpu.state.cpl == 0 && cpu.mode.bits == 64;
  return (cpu.state.cr4 & cr4::OSFXSR) != 0 && !fast;
}

}  // namespace

void store_x87(const X87State& s, LegacyImage& image, LegacyFormat format) {
  put<u16>(image, 0, s.control);
  put<u16>(image, 2, x87::status_word(s));
  put<u16>(image, 4, x87::abridged_tag_word(s));
  put<u16>(image, 6, s.opcode & 0x7ff);
  if (format.wide_pointers) {
    put<u64>(image, 8, s.ip);
    put<u64>(image, 16, s.operand);
  } else {
    put<u64>(image, 8, static_cast<u32>(s.ip) | u64{s.ip_selector} << 32);
    put<u64>(image, 16, static_cast<u32>(s.operand) | u64{s.operand_selector} << 32);
  }
  for (unsigned i = 0; i < 8; ++i) {
    const X87Register& st = x87::st(s, i);
    put<u64>(image, st_area + 16 * i, st.mantissa);
    put<u64>(image, st_area + 16 * i + 8, st.sign_exponent);
  }
}

void load_x87(X87State& s, const LegacyImage& image, LegacyFormat format) {
  x87::set_control_word(s, get<u16>(image, 0));
  x87::set_status_word(s, get<u16>(image, 2));
  x87::set_abridged_tag_word(s, get<u8>(image, 4));
  s.opcode = get<u16>(image, 6) & 0x7ff;
  s.ip = format.wide_pointers ? get<u64>(image, 8) : get<u32>(image, 8);
  s.operand = format.wide_pointers ? get<u64>(image, 16) : get<u32>(image, 16);
  s.ip_selector = format.wide_pointers ? u16{0} : get<u16>(image, 12);
  s.operand_selector = format.wide_pointers ? u16{0} : get<u16>(image, 20);
  for (unsigned i = 0; i < 8; ++i)
    x87::st(s, i) = {get<u64>(image, st_area + 16 * i), get<u16>(image, st_area + 16 * i + 8)};
}

void store_xmm(const CpuState& s, LegacyImage& image, LegacyFormat format) {
  for (unsigned i = 0; i < (format.all_registers ? 16 : 8); ++i) put(image, xmm_area + 16 * i, s.xmm[i]);
}
void load_xmm(CpuState& s, const LegacyImage& image, LegacyFormat format) {
  for (unsigned i = 0; i < (format.all_registers ? 16 : 8); ++i) s.xmm[i] = get<Xmm>(image, xmm_area + 16 * i);
}

bool fxsave(Cpu& cpu, const Record& r) {
  u64 linear = 0;
  if (!aligned_address<16>(cpu, r, 512, AccessKind::Write, linear)) return false;
  const LegacyFormat format = format_of(cpu, r);
  LegacyImage image{};
  store_x87(cpu.state.x87, image, format);
  put<u32>(image, 24, current_mxcsr(cpu));
  put<u32>(image, 28, mxcsr::writable);
  const unsigned registers = !includes_xmm(cpu) ? 0 : format.all_registers ? 16 : 8;
  store_xmm(cpu.state, image, format);
  return write_area(cpu, linear, std::span(image).first(xmm_area + 16 * registers));
}

bool fxrstor(Cpu& cpu, const Record& r) {
  u64 linear = 0;
  LegacyImage image;
  if (!aligned_address<16>(cpu, r, 512, AccessKind::Read, linear) || !read_area(cpu, linear, image)) return false;
  const u32 control = get<u32>(image, 24);
  if ((control & ~mxcsr::writable) != 0) return cpu.raise(Vector::GP, 0);
  const LegacyFormat format = format_of(cpu, r);
  load_x87(cpu.state.x87, image, format);
  if ((cpu.state.cr4 & cr4::OSFXSR) != 0) set_mxcsr(cpu, control);
  if (includes_xmm(cpu)) load_xmm(cpu.state, image, format);
  return true;
}

}  // namespace bunshin::sse
