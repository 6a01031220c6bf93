// PUSHF, POPF, CLI, STI with their virtual-8086 and virtual-interrupt forms (SDM vol. 3, 20.3 and 20.4), CLAC, STAC.

#include "core/events/far_transfer.h"
#include "core/events/instructions.h"
#include "core/events/stack.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {

namespace {

/// Virtual-8086 code without the right to IF: VME gives it VIF instead.
bool uses_virtual_if(const CpuState& s) { return s.v86() && s.iopl() < 3; }

bool popf_virtual(Cpu& cpu, const Stack& popped, u64 image) {
  CpuState& s = cpu.state;
  const bool enables = (image & rflags::IF) != 0;
  if ((image & rflags::TF) != 0 || (enables && (s.flags.system & rflags::VIP) != 0)) return cpu.raise(Vector::GP, 0);
  const u64 changeable = changeable_flags(s, 2, false) & ~(rflags::IF | rflags::IOPL);
  const u64 kept = s.flags.value() & ~(changeable | rflags::VIF);
  s.flags.set_value(kept | (image & changeable) | (enables ? rflags::VIF : 0));
  s.gpr[RSP] = popped.pointer();
  return true;
}

bool change_ac(Cpu& cpu, u64 value) {
  if (cpu.state.cpl != 0) return cpu.raise(Vector::UD);
  cpu.state.flags.system = (cpu.state.flags.system & ~rflags::AC) | value;
  cpu.update_mode();
  return true;
}

}  // namespace

bool pushf(Cpu& cpu, const Record& r) {
  const CpuState& s = cpu.state;
  u64 image = s.flags.value() & ~(rflags::RF | rflags::VM);
  const unsigned width = r.operand_bytes();
  if (uses_virtual_if(s)) {
    if ((s.cr4 & cr4::VME) == 0 || width != 2) return cpu.raise(Vector::GP, 0);
    image = (image & ~rflags::IF) | rflags::IOPL | ((image & rflags::VIF) != 0 ? rflags::IF : 0);
  }
  if (intercepted(cpu, r, Intercept::Pushf)) return false;
  Stack stack(cpu);
  if (!stack.push(width, image)) return false;
  stack.commit();
  return true;
}

bool popf(Cpu& cpu, const Record& r) {
  CpuState& s = cpu.state;
  const unsigned width = r.operand_bytes();
  const bool virtual_if = uses_virtual_if(s);
  if (virtual_if && ((s.cr4 & cr4::VME) == 0 || width != 2)) return cpu.raise(Vector::GP, 0);
  if (intercepted(cpu, r, Intercept::Popf)) return false;
  Stack stack(cpu);
  u64 image = 0;
  if (!stack.pop(width, image)) return false;
  if (virtual_if) return popf_virtual(cpu, stack, image);
  stack.commit();
  const u64 old = s.flags.system;
  u64 changeable = changeable_flags(s, width, false);
  if (s.v86()) changeable &= ~rflags::IOPL;
  s.flags.set_value((s.flags.value() & ~(changeable | rflags::RF)) | (image & changeable));
  if (((old ^ s.flags.system) & rflags::AC) != 0) cpu.update_mode();
  return true;
}

bool cli(Cpu& cpu, const Record&) {
  CpuState& s = cpu.state;
  if (s.cpl <= s.iopl()) {
    s.flags.system &= ~rflags::IF;
    return true;
  }
  const bool virtual_if = s.v86() ? (s.cr4 & cr4::VME) != 0 : s.cpl == 3 && (s.cr4 & cr4::PVI) != 0;
  if (!virtual_if) return cpu.raise(Vector::GP, 0);
  s.flags.system &= ~rflags::VIF;
  return true;
}

bool sti(Cpu& cpu, const Record&) {
  CpuState& s = cpu.state;
  if (s.cpl <= s.iopl()) {
    if ((s.flags.system & rflags::IF) == 0) s.interrupt_shadow = true;
    s.flags.system |= rflags::IF;
    return true;
  }
  const bool virtual_if = s.v86() ? (s.cr4 & cr4::VME) != 0 : s.cpl == 3 && (s.cr4 & cr4::PVI) != 0;
  if (!virtual_if || (s.flags.system & rflags::VIP) != 0) return cpu.raise(Vector::GP, 0);
  s.flags.system |= rflags::VIF;
  return true;
}

bool clac(Cpu& cpu, const Record&) { return change_ac(cpu, 0); }

bool stac(Cpu& cpu, const Record&) { return change_ac(cpu, rflags::AC); }

}  // namespace bunshin::semantics
