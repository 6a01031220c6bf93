#include "core/sse/xsave.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "core/sse/bind.h"
#include "core/sse/memory_area.h"
#include "core/system/cpuid.h"
#include "core/virt/intercept.h"

namespace bunshin {

bool xcr0_is_valid(const CpuProfile& profile, u64 value) {
  if ((value & xcr0::X87) == 0 || (value & ~xcr0_supported(profile)) != 0) return false;
  return (value & xcr0::AVX) == 0 || (value & xcr0::SSE) != 0;
}

/// The manual lets a processor report x87 and SSE state as always in use (SDM vol. 1, 13.6).
u64 xsave_in_use(const CpuState& state) {
  const bool avx = std::ranges::any_of(state.ymm_high, [](const Xmm& x) { return x.bytes != Xmm{}.bytes; });
  return xcr0::X87 | xcr0::SSE | (avx ? xcr0::AVX : 0) | (state.pkru != 0 ? xcr0::PKRU : 0);
}

namespace sse {

namespace {

constexpr u64 header_at = 512;
constexpr u64 compacted_bit = u64{1} << 63;
constexpr unsigned mxcsr_at = 24, st_at = 32, xmm_at = 160;

/// XSAVE header (SDM vol. 1, 13.4.2).
struct Header {
  u64 xstate_bv = 0;
  u64 xcomp_bv = 0;
  std::array<u64, 6> reserved{};
  bool compacted() const { return (xcomp_bv & compacted_bit) != 0; }
};
static_assert(sizeof(Header) == 64);

LegacyFormat format_of(const Cpu& cpu, const Record& r) {
  return {.wide_pointers = r.operand_bytes() == 8, .all_registers = cpu.mode.bits == 64};
}

u64 requested(const Cpu& cpu) {
  return cpu.state.xcr0 & ((cpu.state.gpr[RAX] & 0xffffffff) | cpu.state.gpr[RDX] << 32);
}

/// Offset of a component behind the header (its bit of XCR0) in an image with these components.
u64 component_offset(u64 component, bool compacted, u64 components) {
  if (compacted) return xsave_compacted_bytes(components & (component - 1));
  const auto all = xsave_components();
  const auto found =
      std::ranges::find(all, static_cast<unsigned>(std::countr_zero(component)), &XsaveComponent::number);
  SIM_CHECK(found != all.end());
  return found->offset;
}

/// The upper halves of the YMM registers that the mode has (SDM vol. 1, 13.5.3).
std::span<Xmm> upper_halves(Cpu& cpu) { return std::span(cpu.state.ymm_high).first(cpu.mode.bits == 64 ? 16 : 8); }

using UpperImage = std::array<u8, 256>;

bool write_upper_halves(Cpu& cpu, u64 linear) {
  UpperImage image{};
  const std::span<Xmm> halves = upper_halves(cpu);
  std::memcpy(image.data(), halves.data(), halves.size_bytes());
  return write_area(cpu, linear, std::span<const u8>(image).first(halves.size_bytes()));
}

/// What all XSAVE-family instructions check first.
bool available(Cpu& cpu) {
  if ((cpu.state.cr4 & cr4::OSXSAVE) == 0) return cpu.raise(Vector::UD);
  if ((cpu.state.cr0 & cr0::TS) != 0) return cpu.raise(Vector::NM);
  return true;
}

/// The legacy region's parts that belong to `components`.
bool write_legacy(Cpu& cpu, u64 linear, u64 components, bool with_mxcsr, LegacyFormat format) {
  LegacyImage image{};
  const std::span<const u8> bytes(image);
  const auto write_part = [&](u64 from, u64 to) {
    return write_area(cpu, area_address(cpu, linear, from), bytes.subspan(from, to - from));
  };
  if ((components & xcr0::X87) != 0) {
    store_x87(cpu.state.x87, image, format);
    if (!write_part(0, mxcsr_at) || !write_part(st_at, xmm_at)) return false;
  }
  if (with_mxcsr) {
    const u64 both = current_mxcsr(cpu) | u64{mxcsr::writable} << 32;
    std::memcpy(image.data() + mxcsr_at, &both, sizeof(both));
    if (!write_part(mxcsr_at, st_at)) return false;
  }
  if ((components & xcr0::SSE) == 0) return true;
  store_xmm(cpu.state, image, format);
  return write_part(xmm_at, xmm_at + (format.all_registers ? 256 : 128));
}

/// Whether XRSTOR accepts the header (SDM vol. 1, 13.8).
bool acceptable(const Cpu& cpu, const Header& h) {
  if (!h.compacted()) {
    // Of the reserved bytes only the first eight are looked at (SDM vol. 2, XRSTOR: bytes 23:8).
    return h.xcomp_bv == 0 && h.reserved[0] == 0 && (h.xstate_bv & ~cpu.state.xcr0) == 0;
  }
  if (!cpu.profile.has(Feature::Xsavec)) return false;
  if (!std::ranges::all_of(h.reserved, [](u64 v) { return v == 0; })) return false;
  return (h.xcomp_bv & ~compacted_bit & ~cpu.state.xcr0) == 0 && (h.xstate_bv & ~h.xcomp_bv) == 0;
}

/// A component named in XSTATE_BV comes from the image, any other becomes initial.
void restore_x87(Cpu& cpu, bool from_image, const LegacyImage& image, LegacyFormat format) {
  if (from_image)
    load_x87(cpu.state.x87, image, format);
  else
    cpu.state.x87 = X87State();
}
void restore_upper_halves(Cpu& cpu, bool from_image, const UpperImage& image) {
  const std::span<Xmm> halves = upper_halves(cpu);
  if (from_image)
    std::memcpy(halves.data(), image.data(), halves.size_bytes());
  else
    std::ranges::fill(halves, Xmm{});
}
void restore_xmm(Cpu& cpu, bool from_image, const LegacyImage& image, LegacyFormat format) {
  static constexpr LegacyImage initial{};
  load_xmm(cpu.state, from_image ? image : initial, format);
}

}  // namespace

bool xsave(Cpu& cpu, const Record& r, Save kind) {
  u64 linear = 0;
  const u64 asked = requested(cpu);
  const bool compacted = kind == Save::Compacted;
  const u32 size = compacted ? xsave_compacted_bytes(asked) : xsave_standard_bytes(asked);
  if (!available(cpu) || !aligned_address<64>(cpu, r, size, AccessKind::Write, linear)) return false;
  const u64 in_use = asked & xsave_in_use(cpu.state);
  const u64 saved = kind == Save::Plain ? asked : in_use;
  const u64 header = area_address(cpu, linear, header_at);
  u64 kept = 0;
  if (!compacted && !cpu.load_linear(header, kept)) return false;
  const bool with_mxcsr = (asked & (compacted ? xcr0::SSE : xcr0::SSE | xcr0::AVX)) != 0;
  if (!write_legacy(cpu, linear, saved, with_mxcsr, format_of(cpu, r))) return false;
  const auto at = [&](u64 component) {
    return area_address(cpu, linear, component_offset(component, compacted, asked));
  };
  if ((saved & xcr0::AVX) != 0 && !write_upper_halves(cpu, at(xcr0::AVX))) return false;
  if ((saved & xcr0::PKRU) != 0 && !cpu.store_linear(at(xcr0::PKRU), u64{cpu.state.pkru})) return false;
  if (compacted && !cpu.store_linear(area_address(cpu, header, 8), asked | compacted_bit)) return false;
  return cpu.store_linear(header, (kept & ~asked) | in_use);
}

bool xrstor(Cpu& cpu, const Record& r) {
  u64 linear = 0;
  const u64 asked = requested(cpu);
  LegacyImage image;
  std::array<u8, 64> header_bytes{};
  if (!available(cpu) || !aligned_address<64>(cpu, r, 576, AccessKind::Read, linear) ||
      !read_area(cpu, area_address(cpu, linear, header_at), header_bytes))
    return false;
  Header h;
  std::memcpy(&h, header_bytes.data(), sizeof(h));
  if (!acceptable(cpu, h)) return cpu.raise(Vector::GP, 0);
  const u64 loaded = asked & h.xstate_bv;
  if (!read_area(cpu, linear, image)) return false;
  const auto at = [&](u64 component) {
    return area_address(cpu, linear, component_offset(component, h.compacted(), h.xcomp_bv));
  };
  UpperImage upper{};
  if ((loaded & xcr0::AVX) != 0 &&
      !read_area(cpu, at(xcr0::AVX), std::span(upper).first(upper_halves(cpu).size_bytes())))
    return false;
  u64 pkru = 0;
  if ((loaded & xcr0::PKRU) != 0 && !cpu.load_linear(at(xcr0::PKRU), pkru)) return false;

  // In the standard format MXCSR is loaded from memory even if the SSE component is initialised (SDM vol. 1, 13.8.1).
  u32 control = mxcsr::initial;
  const bool sets_mxcsr = (asked & (h.compacted() ? xcr0::SSE : xcr0::SSE | xcr0::AVX)) != 0;
  if (!h.compacted() || (loaded & xcr0::SSE) != 0) std::memcpy(&control, image.data() + mxcsr_at, sizeof(control));
  if (sets_mxcsr && (control & ~mxcsr::writable) != 0) return cpu.raise(Vector::GP, 0);

  const LegacyFormat format = format_of(cpu, r);
  if (sets_mxcsr) set_mxcsr(cpu, control);
  if ((asked & xcr0::X87) != 0) restore_x87(cpu, (loaded & xcr0::X87) != 0, image, format);
  if ((asked & xcr0::SSE) != 0) restore_xmm(cpu, (loaded & xcr0::SSE) != 0, image, format);
  if ((asked & xcr0::AVX) != 0) restore_upper_halves(cpu, (loaded & xcr0::AVX) != 0, upper);
  if ((asked & xcr0::PKRU) != 0 && cpu.state.pkru != static_cast<u32>(pkru)) {
    cpu.state.pkru = static_cast<u32>(pkru);
    cpu.update_mode();
  }
  return true;
}

bool xgetbv(Cpu& cpu, const Record&) {
  if ((cpu.state.cr4 & cr4::OSXSAVE) == 0) return cpu.raise(Vector::UD);
  const u32 index = static_cast<u32>(cpu.state.gpr[RCX]);
  const bool has_in_use = cpu.profile.has(Feature::Xgetbv1);
  if (index > (has_in_use ? 1 : 0)) return cpu.raise(Vector::GP, 0);
  const u64 value = index == 0 ? cpu.state.xcr0 : cpu.state.xcr0 & xsave_in_use(cpu.state);
  cpu.state.gpr[RAX] = value & 0xffffffff;
  cpu.state.gpr[RDX] = value >> 32;
  return true;
}

bool xsetbv(Cpu& cpu, const Record& r) {
  if ((cpu.state.cr4 & cr4::OSXSAVE) == 0) return cpu.raise(Vector::UD);
  const u64 value = (cpu.state.gpr[RAX] & 0xffffffff) | cpu.state.gpr[RDX] << 32;
  if (cpu.state.cpl != 0) return cpu.raise(Vector::GP, 0);
  if (intercepted(cpu, r, Intercept::Xsetbv, value)) return false;
  if (static_cast<u32>(cpu.state.gpr[RCX]) != 0 || !xcr0_is_valid(cpu.profile, value)) return cpu.raise(Vector::GP, 0);
  cpu.state.xcr0 = value;
  cpu.update_mode();
  return true;
}

}  // namespace sse
}  // namespace bunshin
