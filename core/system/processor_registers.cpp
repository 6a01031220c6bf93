// Segment bases, the time-stamp counter, processor identification and random numbers.

#include "core/events/segmentation.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {
namespace {

bool fsgsbase_enabled(Cpu& cpu) { return (cpu.state.cr4 & cr4::FSGSBASE) != 0 || cpu.raise(Vector::UD); }

bool read_base(Cpu& cpu, const Record& r, Seg seg) {
  if (!fsgsbase_enabled(cpu)) return false;
  store_sized(cpu, r, cpu.state.segment(seg).base);
  return true;
}

bool write_base(Cpu& cpu, const Record& r, Seg seg) {
  if (!fsgsbase_enabled(cpu)) return false;
  const u64 base = r.operand_bytes() == 8 ? cpu.reg<u64>(r.rm) : cpu.reg<u32>(r.rm);
  if (!canonical(cpu, base)) return cpu.raise(Vector::GP, 0);
  cpu.state.segment(seg).base = base;
  return true;
}

/// Deterministic by design: one step of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
/// generators", OOPSLA 2014).
u64 next_random(u64& state) {
  state += 0x9e3779b97f4a7c15;
  u64 z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

bool swapgs(Cpu& cpu, const Record&) {
  std::swap(cpu.state.segment(Seg::GS).base, cpu.state.msr.kernel_gs_base);
  return true;
}

bool rdfsbase(Cpu& cpu, const Record& r) { return read_base(cpu, r, Seg::FS); }
bool rdgsbase(Cpu& cpu, const Record& r) { return read_base(cpu, r, Seg::GS); }
bool wrfsbase(Cpu& cpu, const Record& r) { return write_base(cpu, r, Seg::FS); }
bool wrgsbase(Cpu& cpu, const Record& r) { return write_base(cpu, r, Seg::GS); }

namespace {

bool read_tsc(Cpu& cpu, const Record& r, Intercept what) {
  if ((cpu.state.cr4 & cr4::TSD) != 0 && cpu.state.cpl != 0) return cpu.raise(Vector::GP, 0);
  if (intercepted(cpu, r, what)) return false;
  const u64 tsc = cpu.tsc_at(r);
  cpu.set_reg(offset_of(RAX), static_cast<u32>(tsc));
  cpu.set_reg(offset_of(RDX), static_cast<u32>(tsc >> 32));
  return true;
}

}  // namespace

bool rdtsc(Cpu& cpu, const Record& r) { return read_tsc(cpu, r, Intercept::Rdtsc); }

bool rdtscp(Cpu& cpu, const Record& r) {
  if (!enabled_in_guest(cpu, Intercept::Rdtscp) || !read_tsc(cpu, r, Intercept::Rdtscp)) return false;
  cpu.set_reg(offset_of(RCX), static_cast<u32>(cpu.state.msr.tsc_aux));
  return true;
}

/// Leaf 0AH tells of no performance counters, so every counter index is beyond those implemented.
bool rdpmc(Cpu& cpu, const Record& r) {
  if (cpu.state.cpl != 0 && (cpu.state.cr4 & cr4::PCE) == 0) return cpu.raise(Vector::GP, 0);
  return !intercepted(cpu, r, Intercept::Rdpmc) && cpu.raise(Vector::GP, 0);
}

bool rdpid(Cpu& cpu, const Record& r) {
  if (!enabled_in_guest(cpu, Intercept::Rdtscp)) return false;
  cpu.set_reg<u64>(r.rm, cpu.state.msr.tsc_aux);
  return true;
}

namespace {

bool store_random(Cpu& cpu, const Record& r) {
  store_sized(cpu, r, next_random(cpu.state.rng_state));
  cpu.state.flags.set_status(rflags::CF);
  return true;
}

}  // namespace

bool rdrand(Cpu& cpu, const Record& r) { return !intercepted(cpu, r, Intercept::Rdrand) && store_random(cpu, r); }
bool rdseed(Cpu& cpu, const Record& r) { return !intercepted(cpu, r, Intercept::Rdseed) && store_random(cpu, r); }

}  // namespace bunshin::semantics
