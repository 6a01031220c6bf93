// Saving and restoring processor state, MXCSR, fences, cache control and hints.

#include "core/sse/bind.h"
#include "core/sse/rows.h"
#include "core/sse/xsave.h"

namespace bunshin::sse {

namespace {

bool ldmxcsr(Cpu& cpu, const Record& r) {
  u32 v = 0;
  if (!cpu.load(r, v)) return false;
  if ((v & ~mxcsr::writable) != 0) return cpu.raise(Vector::GP, 0);
  set_mxcsr(cpu, v);
  return true;
}
bool stmxcsr(Cpu& cpu, const Record& r) { return cpu.store(r, current_mxcsr(cpu)); }

template <Save kind>
bool run_xsave(Cpu& cpu, const Record& r) {
  return xsave(cpu, r, kind);
}

/// The modeled caches are coherent and invisible to software but for time; the address is checked as a read would be. It
/// is not read: a device's register may have side effects.
template <MemoryReference::Kind kind>
bool flush_line(Cpu& cpu, const Record& r) {
  u64 linear = 0;
  if (!cpu.to_linear(cpu.segment_of(r), cpu.effective_address(r), 1, AccessKind::Read, linear)) return false;
  HostPhysical physical;
  const Access access{.kind = AccessKind::Read, .user = cpu.state.cpl == 3};
  const auto fault = cpu.mmu.translate(Linear(linear), access, physical);
  if (fault) return cpu.raise(*fault);
  if (cpu.observation.active()) {
    cpu.observation.log().add({linear, physical, 1, kind, false, 0, 0, cpu.mmu.last_outcome()});
  }
  return true;
}

const Record* run_nothing(Cpu& cpu, const Record* r) { return next(cpu, r); }
/// Fences order what is already in order; prefetches and reserved NOPs do not touch their operand.
Handler nothing(const Decoded&) { return run_nothing; }

using Kind = MemoryReference::Kind;

// clang-format off
constexpr Row rows[] = {
    {"NP 0F AE /0 mem", "fxsave", {Op::M}, plain<fxsave>, Feature::Fxsr, attr::x87},
    {"NP 0F AE /1 mem", "fxrstor", {Op::M}, plain<fxrstor>, Feature::Fxsr, attr::x87},
    {"NP 0F AE /2 mem", "ldmxcsr", {Op::Md}, plain<ldmxcsr>, Feature::Sse, attr::sse},
    {"NP 0F AE /3 mem", "stmxcsr", {Op::Md}, plain<stmxcsr>, Feature::Sse, attr::sse},
    {"VEX.LZ.NP.0F.WIG AE /2 mem", "vldmxcsr", {Op::Md}, plain<ldmxcsr>, Feature::Avx, attr::avx},
    {"VEX.LZ.NP.0F.WIG AE /3 mem", "vstmxcsr", {Op::Md}, plain<stmxcsr>, Feature::Avx, attr::avx},
    {"NP 0F AE /4 mem", "xsave", {Op::M}, plain<run_xsave<Save::Plain>>, Feature::Xsave},
    {"NP 0F AE /5 mem", "xrstor", {Op::M}, ending<xrstor>, Feature::Xsave, attr::ends_block},
    {"NP 0F AE /6 mem", "xsaveopt", {Op::M}, plain<run_xsave<Save::Optimised>>, Feature::Xsaveopt},
    {"NP 0F C7 /4 mem", "xsavec", {Op::M}, plain<run_xsave<Save::Compacted>>, Feature::Xsavec},
    {"NP 0F 01 D0", "xgetbv", {}, plain<xgetbv>, Feature::Xsave},
    {"NP 0F 01 D1", "xsetbv", {}, ending<xsetbv>, Feature::Xsave, attr::ends_block},

    {"NP 0F AE /5 reg", "lfence", {}, nothing, Feature::Sse2},
    {"NP 0F AE /6 reg", "mfence", {}, nothing, Feature::Sse2},
    {"NP 0F AE /7 reg", "sfence", {}, nothing, Feature::Sse},
    {"NP 0F AE /7 mem", "clflush", {Op::Mb}, plain<flush_line<Kind::LineFlush>>, Feature::Clflush},
    {"66 0F AE /7 mem", "clflushopt", {Op::Mb}, plain<flush_line<Kind::LineFlush>>, Feature::Clflushopt},
    {"66 0F AE /6 mem", "clwb", {Op::Mb}, plain<flush_line<Kind::LineWriteBack>>, Feature::Clwb},

    {"0F 0D /r", "prefetchw", {Op::Ev}, nothing},
    {"0F 18 /r", "prefetch", {Op::Ev}, nothing},
    {"0F 19 /r", "nop", {Op::Ev}, nothing},
    {"0F 1A /r", "nop", {Op::Ev}, nothing},
    {"0F 1B /r", "nop", {Op::Ev}, nothing},
    {"0F 1C /r", "nop", {Op::Ev}, nothing},
    {"0F 1D /r", "nop", {Op::Ev}, nothing},
    {"0F 1E /r", "nop", {Op::Ev}, nothing},
    {"0F 1F /r", "nop", {Op::Ev}, nothing},
};
// clang-format on

}  // namespace

std::span<const Row> state_rows() { return rows; }

}  // namespace bunshin::sse
