// SYSCALL, SYSRET, SYSENTER, SYSEXIT (SDM vol. 3, 5.8.7 and 5.8.8; APM vol. 2, 6.1): segments come from MSRs, not from
// descriptor tables.

#include "core/events/debug.h"
#include "core/events/instructions.h"
#include "core/events/segmentation.h"

namespace bunshin::semantics {

namespace {

enum class CodeSize : u8 { Bits32, Bits64 };

Segment flat_segment(u16 selector, unsigned dpl, u32 type_and_size) {
  Segment s;
  s.selector = selector;
  s.attributes = type_and_size | dpl << 5 | Segment::code_or_data | Segment::present | Segment::granularity;
  s.limit = 0xffff'ffff;
  return s;
}

/// Flat code at `cpl`, and the stack whose selector follows as the instruction says.
void load_flat(CpuState& s, u16 code, u16 stack, unsigned cpl, CodeSize size) {
  constexpr u32 accessed_code = 0xb;
  constexpr u32 accessed_data = 3;
  const u32 code_size = size == CodeSize::Bits64 ? Segment::long_mode : Segment::big;
  s.segment(Seg::CS) = flat_segment(static_cast<u16>((code & ~3u) | cpl), cpl, accessed_code | code_size);
  s.segment(Seg::SS) = flat_segment(static_cast<u16>((stack & ~3u) | cpl), cpl, accessed_data | Segment::big);
  s.cpl = static_cast<u8>(cpl);
}

/// The handler's first instruction is not stepped when the call cleared TF.
void disarm_single_step(CpuState& s) {
  if ((s.flags.system & rflags::TF) == 0) s.pending_debug &= ~dr6::BS;
}

/// TF loaded by SYSRET traps behind SYSRET itself, not behind the instruction after it as with IRET and POPF.
void arm_single_step(CpuState& s) {
  if ((s.flags.system & rflags::TF) != 0) s.pending_debug |= dr6::BS;
}

/// AMD's SYSCALL of legacy mode: EIP and selectors from STAR, interrupts off.
bool syscall_legacy(Cpu& cpu) {
  CpuState& s = cpu.state;
  s.gpr[RCX] = static_cast<u32>(s.rip);
  const u16 selector = static_cast<u16>(s.msr.star >> 32);
  s.flags.system &= ~(rflags::IF | rflags::VM | rflags::RF);
  load_flat(s, selector, static_cast<u16>(selector + 8), 0, CodeSize::Bits32);
  s.rip = static_cast<u32>(s.msr.star);
  cpu.update_mode();
  return true;
}

bool sysret_legacy(Cpu& cpu) {
  CpuState& s = cpu.state;
  const u16 selector = static_cast<u16>(s.msr.star >> 48);
  s.flags.system |= rflags::IF;
  load_flat(s, selector, static_cast<u16>(selector + 8), 3, CodeSize::Bits32);
  s.rip = static_cast<u32>(s.gpr[RCX]);
  cpu.update_mode();
  return true;
}

}  // namespace

bool syscall(Cpu& cpu, const Record&) {
  CpuState& s = cpu.state;
  if ((s.msr.efer & efer::SCE) == 0) return cpu.raise(Vector::UD);
  const bool code64 = cpu.mode.bits == 64;
  if (!code64) {
    // Intel has SYSCALL in 64-bit mode only.
    if (cpu.profile.intel() || !cpu.mode.protected_mode) return cpu.raise(Vector::UD);
    if (!s.long_mode_active()) return syscall_legacy(cpu);
  }
  s.gpr[RCX] = s.rip;
  const u64 flags = s.flags.value() & ~rflags::RF;
  s.gpr[R11] = flags;
  s.flags.set_value(flags & ~s.msr.sfmask & ~rflags::VM);
  s.rip = code64 ? s.msr.lstar : s.msr.cstar;
  const u16 selector = static_cast<u16>(s.msr.star >> 32);
  load_flat(s, selector, static_cast<u16>(selector + 8), 0, CodeSize::Bits64);
  disarm_single_step(s);
  cpu.update_mode();
  return true;
}

bool sysret(Cpu& cpu, const Record& r) {
  CpuState& s = cpu.state;
  if ((s.msr.efer & efer::SCE) == 0) return cpu.raise(Vector::UD);
  if (cpu.mode.bits != 64 && (cpu.profile.intel() || !cpu.mode.protected_mode)) return cpu.raise(Vector::UD);
  if (s.cpl != 0) return cpu.raise(Vector::GP, 0);
  if (!s.long_mode_active()) return sysret_legacy(cpu);
  const bool to64 = r.operand_bytes() == 8;
  // Intel faults here, with the kernel's privilege; AMD behind the return (SDM vol. 2, SYSRET).
  if (to64 && !canonical(cpu, s.gpr[RCX]) && cpu.profile.intel()) return cpu.raise(Vector::GP, 0);
  constexpr u64 loadable = 0x3c7fd7 & ~(rflags::RF | rflags::VM);
  s.flags.set_value(s.gpr[R11] & loadable);
  const u16 base = static_cast<u16>(s.msr.star >> 48);
  s.rip = to64 ? s.gpr[RCX] : static_cast<u32>(s.gpr[RCX]);
  load_flat(s, static_cast<u16>(to64 ? base + 16 : base), static_cast<u16>(base + 8), 3,
            to64 ? CodeSize::Bits64 : CodeSize::Bits32);
  arm_single_step(s);
  cpu.update_mode();
  return true;
}

bool sysenter(Cpu& cpu, const Record&) {
  CpuState& s = cpu.state;
  // AMD has SYSENTER in legacy mode only (APM vol. 3).
  if (s.long_mode_active() && !cpu.profile.intel()) return cpu.raise(Vector::UD);
  const u16 selector = static_cast<u16>(s.msr.sysenter_cs);
  if (!s.protected_mode() || is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  const bool long_mode = s.long_mode_active();
  s.flags.system &= ~(rflags::VM | rflags::IF | rflags::RF);
  s.gpr[RSP] = long_mode ? s.msr.sysenter_esp : static_cast<u32>(s.msr.sysenter_esp);
  s.rip = long_mode ? s.msr.sysenter_eip : static_cast<u32>(s.msr.sysenter_eip);
  load_flat(s, selector, static_cast<u16>(selector + 8), 0, long_mode ? CodeSize::Bits64 : CodeSize::Bits32);
  cpu.update_mode();
  return true;
}

bool sysexit(Cpu& cpu, const Record& r) {
  CpuState& s = cpu.state;
  if (s.long_mode_active() && !cpu.profile.intel()) return cpu.raise(Vector::UD);
  const u16 selector = static_cast<u16>(s.msr.sysenter_cs);
  if (!s.protected_mode() || s.cpl != 0 || is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  const bool to64 = r.operand_bytes() == 8;
  if (to64 && (!canonical(cpu, s.gpr[RCX]) || !canonical(cpu, s.gpr[RDX]))) return cpu.raise(Vector::GP, 0);
  s.gpr[RSP] = to64 ? s.gpr[RCX] : static_cast<u32>(s.gpr[RCX]);
  s.rip = to64 ? s.gpr[RDX] : static_cast<u32>(s.gpr[RDX]);
  const u16 code = static_cast<u16>(selector + (to64 ? 32 : 16));
  load_flat(s, code, static_cast<u16>(code + 8), 3, to64 ? CodeSize::Bits64 : CodeSize::Bits32);
  cpu.update_mode();
  return true;
}

}  // namespace bunshin::semantics
