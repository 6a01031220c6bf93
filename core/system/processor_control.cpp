// HLT, MONITOR, MWAIT and the instructions about caches that hold nothing the memory does not.

#include "core/system/msr.h"
#include "core/system/semantics.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {

namespace {

/// Intel's processors have the two instructions at level 0 and while IA32_MISC_ENABLE says so; AMD's have them at other
/// levels too if HWCR.MonMwaitUserEn does, and none if HWCR.MonMwaitDis is set (APM vol. 3, MONITOR). Else #UD.
bool monitor_exists(Cpu& cpu) {
  const CpuState& s = cpu.state;
  if (cpu.profile.intel()) {
    const bool enabled = (s.msr.misc_enable & misc_enable::monitor) != 0;
    return (enabled && s.cpl == 0) || cpu.raise(Vector::UD);
  }
  const bool allowed = s.cpl == 0 || (s.msr.hwcr & hwcr::monitor_user) != 0;
  return (allowed && (s.msr.hwcr & hwcr::monitor_disabled) == 0) || cpu.raise(Vector::UD);
}

/// ECX, RCX in 64-bit mode.
u64 extensions(const Cpu& cpu) { return cpu.mode.bits == 64 ? cpu.state.gpr[RCX] : cpu.reg<u32>(offset_of(RCX)); }

}  // namespace

bool hlt(Cpu& cpu, const Record& r) {
  if (intercepted(cpu, r, Intercept::Hlt)) return false;
  cpu.state.activity = Activity::Halted;
  return true;
}

/// MONITOR reads the byte it names, faults included, and watches the line around it (SDM vol. 3, 8.10.3).
bool monitor(Cpu& cpu, const Record& r) {
  if (!monitor_exists(cpu) || intercepted(cpu, r, Intercept::Monitor)) return false;
  if (extensions(cpu) != 0) return cpu.raise(Vector::GP, 0);
  const u64 offset = cpu.reg<u64>(offset_of(RAX)) & (~u64{0} >> (64 - 8 * r.address_bytes()));
  u8 watched = 0;
  u64 linear = 0;
  if (!cpu.to_linear(cpu.segment_of(r), offset, 1, AccessKind::Read, linear) || !cpu.load_linear(linear, watched)) {
    return false;
  }
  HostPhysical physical;
  const Access access{AccessKind::Read, cpu.state.cpl == 3, false};
  if (const auto fault = cpu.mmu.translate(Linear(linear), access, physical)) return cpu.raise(*fault);
  cpu.arm_monitor(physical);
  return true;
}

/// Waits until the line that MONITOR armed is written or an interrupt comes; if it has been written already, or nothing
/// was armed, there is nothing to wait for.
bool mwait(Cpu& cpu, const Record& r) {
  if (!monitor_exists(cpu)) return false;
  CpuState& s = cpu.state;
  const bool armed = s.monitored_line != CpuState::no_line;
  if (intercepted(cpu, r, Intercept::Mwait, armed ? 1 : 0)) return false;
  const u64 wanted = extensions(cpu);
  if (wanted > 1) return cpu.raise(Vector::GP, 0);
  if (!armed) return true;
  s.masked_interrupts_wake = wanted == 1;
  s.activity = Activity::Monitoring;
  return true;
}

bool invd(Cpu& cpu, const Record& r) { return !intercepted(cpu, r, Intercept::Invd); }
bool wbinvd(Cpu& cpu, const Record& r) { return !intercepted(cpu, r, Intercept::Wbinvd); }

}  // namespace bunshin::semantics
