// RET far and IRET in all their forms.

#include <array>

#include "core/events/debug.h"
#include "core/events/far_transfer.h"
#include "core/events/segmentation.h"
#include "core/events/stack.h"
#include "core/events/task_switch.h"
#include "core/virt/intercept.h"

namespace bunshin {

namespace {

/// Where a return goes, as popped.
struct Return {
  u64 rip = 0, cs = 0, flags = 0, rsp = 0, ss = 0;
  Segment code, stack;
  u16 code_selector() const { return static_cast<u16>(cs); }
  u16 stack_selector() const { return static_cast<u16>(ss); }
  unsigned cpl() const { return cs & 3; }
};

/// The code segment of a return: it must belong to the popped RPL, which cannot be more privileged (SDM vol. 3, 5.8.6).
bool fetch_return_code(Cpu& cpu, Return& r) {
  const u16 selector = r.code_selector();
  const CpuState& s = cpu.state;
  if (is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  const bool allowed = r.cpl() >= s.cpl && (d.is_conforming() ? d.dpl() <= r.cpl() : d.dpl() == r.cpl());
  const bool impossible = s.long_mode_active() && d.is_long() && d.is_big();
  if (!d.is_code() || !allowed || impossible) return cpu.raise(Vector::GP, selector_code(selector));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(selector));
  if (!set_accessed(cpu, d)) return false;
  r.code = d.segment(selector);
  return true;
}

/// The stack of a return. 64-bit code at levels 0 to 2 may run with a null SS, whose RPL nobody looks at.
bool fetch_return_stack(Cpu& cpu, Return& r, Vector if_absent) {
  const u16 selector = r.stack_selector();
  if (!is_null_selector(selector)) return fetch_stack_segment(cpu, selector, r.cpl(), Vector::GP, r.stack, if_absent);
  const bool code64 = cpu.state.long_mode_active() && r.code.is_long();
  if (!code64 || r.cpl() == 3) return cpu.raise(Vector::GP, 0);
  load_null_segment(r.stack, selector);
  r.stack.attributes |= static_cast<u32>(r.cpl()) << 5;
  return true;
}

/// An absent stack is told as #NP by Intel's IRET (SDM vol. 2, IRET), as #SS by RET far and by AMD (APM vol. 3, IRET).
Vector if_interrupt_stack_absent(const Cpu& cpu) { return cpu.profile.intel() ? Vector::NP : Vector::SS; }

unsigned return_stack_bits(const Cpu& cpu, const Return& r) {
  if (cpu.state.long_mode_active() && r.code.is_long()) return 64;
  return r.stack.is_big() ? 32 : 16;
}

/// Commits a return that loads SS:rSP too.
void enter_return_with_stack(Cpu& cpu, const Return& r, u64 released) {
  CpuState& s = cpu.state;
  const bool outward = r.cpl() != s.cpl;
  const unsigned bits = return_stack_bits(cpu, r);
  s.segment(Seg::SS) = r.stack;
  set_stack_pointer(s, bits, moved_stack_pointer(r.rsp, bits, released));
  commit_code_segment(s, r.code, r.cpl(), r.rip);
  if (outward) drop_inner_segments(s);
  cpu.update_mode();
}

bool return_8086(Cpu& cpu, unsigned width, u16 released) {
  CpuState& s = cpu.state;
  Stack stack(cpu);
  u64 ip = 0;
  u64 cs = 0;
  if (!stack.pop(width, ip) || !stack.pop(width, cs)) return false;
  if (ip > s.segment(Seg::CS).limit) return cpu.raise(Vector::GP, 0);
  stack.skip(released);
  stack.commit();
  load_8086_segment(s, Seg::CS, static_cast<u16>(cs));
  s.rip = ip;
  cpu.update_mode();
  return true;
}

/// Without breakpoints RF suppresses nothing, and nobody would clear it.
u64 useful_flags(const CpuState& s, u64 flags) { return (s.dr[7] & dr7::enables) != 0 ? flags : flags & ~rflags::RF; }

void load_flags(CpuState& s, u64 image, u64 changeable) {
  s.flags.set_value(useful_flags(s, (s.flags.value() & ~changeable) | (image & changeable)));
}

/// IRET in real mode, and in virtual-8086 mode with IOPL 3 or VME (SDM vol. 3, 20.2.8.1 and table 20-2).
bool interrupt_return_8086(Cpu& cpu, unsigned width) {
  CpuState& s = cpu.state;
  const bool restricted = s.v86() && s.iopl() < 3;
  if (restricted && ((s.cr4 & cr4::VME) == 0 || width != 2)) return cpu.raise(Vector::GP, 0);
  Stack stack(cpu);
  u64 ip = 0;
  u64 cs = 0;
  u64 image = 0;
  if (!stack.pop(width, ip) || !stack.pop(width, cs) || !stack.pop(width, image)) return false;
  const bool enables = (image & rflags::IF) != 0;
  const bool pending = (s.flags.system & rflags::VIP) != 0;
  if (restricted && ((image & rflags::TF) != 0 || (enables && pending))) return cpu.raise(Vector::GP, 0);
  if (ip > s.segment(Seg::CS).limit) return cpu.raise(Vector::GP, 0);
  stack.commit();
  load_8086_segment(s, Seg::CS, static_cast<u16>(cs));
  s.rip = ip;
  u64 changeable = changeable_flags(s, width, true) & ~(rflags::VIF | rflags::VIP);
  if (s.v86()) changeable &= ~rflags::IOPL;
  if (restricted) {
    changeable &= ~rflags::IF;
    s.flags.system = enables ? s.flags.system | rflags::VIF : s.flags.system & ~rflags::VIF;
  }
  load_flags(s, image, changeable);
  cpu.update_mode();
  return true;
}

/// The back link of a nested task (SDM vol. 3, 7.4).
bool return_to_previous_task(Cpu& cpu) {
  const CpuState& s = cpu.state;
  u16 link = 0;
  if (!cpu.load_system(static_cast<u32>(s.tr.base), link)) return false;
  if (is_null_selector(link) || (link & 4) != 0) return cpu.raise(Vector::TS, selector_code(link));
  Descriptor tss;
  if (!read_descriptor(cpu, link, tss, Vector::TS)) return false;
  const SystemType type = tss.system_type();
  if (!tss.is_system() || (type != SystemType::BusyTss && type != SystemType::BusyTss16)) {
    return cpu.raise(Vector::TS, selector_code(link));
  }
  if (!tss.present()) return cpu.raise(Vector::NP, selector_code(link));
  TaskSwitch request{TaskSwitchCause::Return, link, tss, s.rip, s.flags.value(), {}};
  return complete_task_switch(cpu, request);
}

/// Level 0 returns to a virtual-8086 program: SS:ESP and the data segments follow (SDM vol. 3, 20.2.5).
bool return_to_8086_program(Cpu& cpu, Stack& stack, const Return& r) {
  CpuState& s = cpu.state;
  std::array<u64, 6> image{};  // ESP, SS, ES, DS, FS, GS
  for (u64& value : image) {
    if (!stack.pop(4, value)) return false;
  }
  if (r.rip > 0xffff) return cpu.raise(Vector::GP, 0);
  s.flags.set_value(useful_flags(s, r.flags & (changeable_flags(s, 4, true) | rflags::VM)));
  s.gpr[RSP] = image[0];
  static constexpr std::array<Seg, 5> order{Seg::SS, Seg::ES, Seg::DS, Seg::FS, Seg::GS};
  for (unsigned i = 0; i < order.size(); ++i) load_8086_segment(s, order[i], static_cast<u16>(image[i + 1]));
  load_8086_segment(s, Seg::CS, r.code_selector());
  s.rip = r.rip;
  s.cpl = 3;
  cpu.update_mode();
  return true;
}

bool interrupt_return_protected(Cpu& cpu, unsigned width) {
  CpuState& s = cpu.state;
  if ((s.flags.system & rflags::NT) != 0) {
    return s.long_mode_active() ? cpu.raise(Vector::GP, 0) : return_to_previous_task(cpu);
  }
  Stack stack(cpu);
  Return r;
  if (!stack.pop(width, r.rip) || !stack.pop(width, r.cs) || !stack.pop(width, r.flags)) return false;
  if ((r.flags & rflags::VM) != 0 && width == 4 && s.cpl == 0 && !s.long_mode_active()) {
    return return_to_8086_program(cpu, stack, r);
  }
  // 64-bit code pops SS:RSP whatever the levels are (SDM vol. 3, 6.14.3).
  const bool with_stack = r.cpl() != s.cpl || cpu.mode.bits == 64;
  if (!fetch_return_code(cpu, r) || (with_stack && (!stack.pop(width, r.rsp) || !stack.pop(width, r.ss) ||
                                                    !fetch_return_stack(cpu, r, if_interrupt_stack_absent(cpu))))) {
    return false;
  }
  if (!check_target(cpu, r.code, r.rip)) return false;
  load_flags(s, r.flags, changeable_flags(s, width, true));
  if (with_stack) {
    enter_return_with_stack(cpu, r, 0);
    return true;
  }
  stack.commit();
  commit_code_segment(s, r.code, s.cpl, r.rip);
  cpu.update_mode();
  return true;
}

/// IRETQ in 64-bit mode, the way back from every interrupt: the frame is read at once.
bool interrupt_return_64(Cpu& cpu) {
  CpuState& s = cpu.state;
  if ((s.flags.system & rflags::NT) != 0) return cpu.raise(Vector::GP, 0);
  std::array<u64, 5> frame{};
  if (!canonical(cpu, s.gpr[RSP]) || !canonical(cpu, s.gpr[RSP] + sizeof(frame) - 1)) return cpu.raise(Vector::SS, 0);
  if (!cpu.load_linear(s.gpr[RSP], frame)) return false;
  Return r;
  r.rip = frame[0];
  r.cs = frame[1];
  r.flags = frame[2];
  r.rsp = frame[3];
  r.ss = frame[4];
  if (!fetch_return_code(cpu, r) || !fetch_return_stack(cpu, r, if_interrupt_stack_absent(cpu)) ||
      !check_target(cpu, r.code, r.rip))
    return false;
  load_flags(s, r.flags, changeable_flags(s, 8, true));
  enter_return_with_stack(cpu, r, 0);
  return true;
}

}  // namespace

u64 changeable_flags(const CpuState& s, unsigned width, bool iret) {
  u64 mask = rflags::status | rflags::TF | rflags::DF | rflags::NT;
  if (width != 2) mask |= rflags::AC | rflags::ID;
  if (width != 2 && iret) mask |= rflags::RF | (s.cpl == 0 ? rflags::VIF | rflags::VIP : 0);
  if (s.cpl <= s.iopl()) mask |= rflags::IF;
  if (s.cpl == 0) mask |= rflags::IOPL;
  return mask;
}

bool far_return(Cpu& cpu, unsigned width, u16 released) {
  if (!cpu.mode.protected_mode) return return_8086(cpu, width, released);
  CpuState& s = cpu.state;
  Stack stack(cpu);
  Return r;
  if (!stack.pop(width, r.rip) || !stack.pop(width, r.cs) || !fetch_return_code(cpu, r)) return false;
  stack.skip(released);
  if (r.cpl() == s.cpl) {
    if (!check_target(cpu, r.code, r.rip)) return false;
    stack.commit();
    commit_code_segment(s, r.code, s.cpl, r.rip);
    cpu.update_mode();
    return true;
  }
  if (!stack.pop(width, r.rsp) || !stack.pop(width, r.ss) || !fetch_return_stack(cpu, r, Vector::SS)) return false;
  if (!check_target(cpu, r.code, r.rip)) return false;
  enter_return_with_stack(cpu, r, released);
  return true;
}

bool interrupt_return(Cpu& cpu, unsigned width) {
  // NMIs are unblocked even by an IRET that faults (SDM vol. 3, 6.7.1 and 26.3).
  if (cpu.guest == nullptr)
    cpu.state.nmi_blocked = false;
  else
    cpu.guest->unblock_nmi();
  if (cpu.mode.bits == 64 && width == 8) return interrupt_return_64(cpu);
  return cpu.mode.protected_mode ? interrupt_return_protected(cpu, width) : interrupt_return_8086(cpu, width);
}

}  // namespace bunshin
