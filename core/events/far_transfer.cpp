#include "core/events/far_transfer.h"

#include <array>

#include "core/events/segmentation.h"
#include "core/events/stack.h"
#include "core/events/task_switch.h"

namespace bunshin {

namespace {

/// Real and virtual-8086 mode: any selector is code.
bool jump_8086(Cpu& cpu, u16 selector, u64 offset) {
  CpuState& s = cpu.state;
  if (offset > s.segment(Seg::CS).limit) return cpu.raise(Vector::GP, 0);
  load_8086_segment(s, Seg::CS, selector);
  s.rip = offset;
  cpu.update_mode();
  return true;
}

bool call_8086(Cpu& cpu, u16 selector, u64 offset, unsigned width) {
  CpuState& s = cpu.state;
  if (offset > s.segment(Seg::CS).limit) return cpu.raise(Vector::GP, 0);
  Stack stack(cpu);
  if (!stack.push(width, s.segment(Seg::CS).selector) || !stack.push(width, s.rip)) return false;
  stack.commit();
  return jump_8086(cpu, selector, offset);
}

/// A code segment named directly (SDM vol. 3, 5.8.1).
bool check_direct_code(Cpu& cpu, u16 selector, const Descriptor& d) {
  const unsigned cpl = cpu.state.cpl;
  const bool allowed = d.is_conforming() ? d.dpl() <= cpl : (selector & 3u) <= cpl && d.dpl() == cpl;
  const bool impossible = cpu.state.long_mode_active() && d.is_long() && d.is_big();
  if (!d.is_code() || !allowed || impossible) return cpu.raise(Vector::GP, selector_code(selector));
  return d.present() || cpu.raise(Vector::NP, selector_code(selector));
}

/// A gate or TSS may be used from this level: `code`, #GP; present, #NP (SDM vol. 3, 5.8.4, 7.3).
bool check_system_access(Cpu& cpu, u16 selector, const Descriptor& d) {
  if (d.dpl() < cpu.state.cpl || d.dpl() < (selector & 3u)) return cpu.raise(Vector::GP, selector_code(selector));
  return d.present() || cpu.raise(Vector::NP, selector_code(selector));
}

bool enter_task(Cpu& cpu, u16 selector, const Descriptor& tss, TaskSwitchCause cause) {
  TaskSwitch request{cause, selector, tss, cpu.state.rip, cpu.state.flags.value(), {}};
  return complete_task_switch(cpu, request);
}

/// JMP and CALL to a TSS or through a task gate.
bool transfer_to_task(Cpu& cpu, u16 selector, const Descriptor& d, TaskSwitchCause cause) {
  if (d.system_type() == SystemType::TaskGate) {
    if (!check_system_access(cpu, selector, d)) return false;
    Descriptor tss;
    if (!read_available_tss(cpu, d.gate_selector(), tss)) return false;
    return enter_task(cpu, d.gate_selector(), tss, cause);
  }
  if (d.dpl() < cpu.state.cpl || d.dpl() < (selector & 3u)) return cpu.raise(Vector::GP, selector_code(selector));
  Descriptor tss;
  if (!read_available_tss(cpu, selector, tss)) return false;
  return enter_task(cpu, selector, tss, cause);
}

/// What a call gate leads to.
struct GateTarget {
  Segment cs;
  u64 rip = 0;
  unsigned cpl = 0;
  unsigned width = 4;
  unsigned parameters = 0;
};

/// SDM vol. 3, 5.8.4 and 5.8.5; in IA-32e mode 5.8.3.1.
bool read_call_gate(Cpu& cpu, u16 selector, Descriptor& gate, bool call, GateTarget& t) {
  const CpuState& s = cpu.state;
  const bool long_mode = s.long_mode_active();
  if (!check_system_access(cpu, selector, gate)) return false;
  if (long_mode && !read_descriptor_extension(cpu, selector, gate, Vector::GP)) return false;
  const u16 code = gate.gate_selector();
  if (is_null_selector(code)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_descriptor(cpu, code, d, Vector::GP)) return false;
  const bool allowed = call || d.is_conforming() ? d.dpl() <= s.cpl : d.dpl() == s.cpl;
  if (!d.is_code() || !allowed) return cpu.raise(Vector::GP, selector_code(code));
  if (long_mode && (!d.is_long() || d.is_big())) return cpu.raise(Vector::GP, selector_code(code));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(code));
  t.width = long_mode ? 8 : gate.system_type() == SystemType::CallGate ? 4 : 2;
  t.rip = t.width == 2 ? gate.gate_offset() & 0xffff : (gate.gate_offset() & 0xffff'ffff) | (gate.high << 32);
  t.parameters = gate.gate_parameters();
  t.cpl = d.is_conforming() ? s.cpl : d.dpl();
  t.cs = d.segment(code);
  return check_target(cpu, t.cs, t.rip) && set_accessed(cpu, d);
}

bool call_same_level(Cpu& cpu, const GateTarget& t) {
  CpuState& s = cpu.state;
  Stack stack(cpu);
  if (!stack.push(t.width, s.segment(Seg::CS).selector) || !stack.push(t.width, s.rip)) return false;
  stack.commit();
  commit_code_segment(s, t.cs, s.cpl, t.rip);
  cpu.update_mode();
  return true;
}

bool call_inner_level64(Cpu& cpu, const GateTarget& t) {
  CpuState& s = cpu.state;
  u64 rsp = 0;
  if (!read_inner_stack64(cpu, t.cpl, 0, rsp)) return false;
  rsp -= 32;
  if (!canonical(cpu, rsp)) return cpu.raise(Vector::SS, 0);
  const std::array<u64, 4> frame{s.rip, s.segment(Seg::CS).selector, s.gpr[RSP], s.segment(Seg::SS).selector};
  if (!cpu.store_system(rsp, frame)) return false;
  s.gpr[RSP] = rsp;
  load_null_stack(s, t.cpl);
  commit_code_segment(s, t.cs, t.cpl, t.rip);
  cpu.update_mode();
  return true;
}

/// Parameters are copied in order, so that the last one pushed by the caller ends up nearest to the return address.
bool copy_parameters(Cpu& cpu, const GateTarget& t, Stack& to) {
  std::array<u64, 32> parameters{};
  Stack from(cpu);
  for (unsigned i = 0; i < t.parameters; ++i) {
    if (!from.pop(t.width, parameters[i])) return false;
  }
  for (unsigned i = t.parameters; i-- > 0;) {
    if (!to.push(t.width, parameters[i])) return false;
  }
  return true;
}

bool call_inner_level(Cpu& cpu, const GateTarget& t) {
  CpuState& s = cpu.state;
  InnerStack inner;
  if (!read_inner_stack(cpu, t.cpl, inner)) return false;
  if (is_null_selector(inner.selector)) return cpu.raise(Vector::TS, 0);
  Segment ss;
  if (!fetch_stack_segment(cpu, inner.selector, t.cpl, Vector::TS, ss)) return false;
  Stack stack(cpu, ss, inner.pointer);
  if (!stack.push(t.width, s.segment(Seg::SS).selector) || !stack.push(t.width, s.gpr[RSP]) ||
      !copy_parameters(cpu, t, stack) || !stack.push(t.width, s.segment(Seg::CS).selector) ||
      !stack.push(t.width, s.rip)) {
    return false;
  }
  s.segment(Seg::SS) = ss;
  stack.commit();
  commit_code_segment(s, t.cs, t.cpl, t.rip);
  cpu.update_mode();
  return true;
}

bool jump_through_gate(Cpu& cpu, u16 selector, Descriptor& gate) {
  GateTarget t;
  if (!read_call_gate(cpu, selector, gate, false, t)) return false;
  commit_code_segment(cpu.state, t.cs, cpu.state.cpl, t.rip);
  cpu.update_mode();
  return true;
}

bool call_through_gate(Cpu& cpu, u16 selector, Descriptor& gate) {
  GateTarget t;
  if (!read_call_gate(cpu, selector, gate, true, t)) return false;
  if (t.cpl == cpu.state.cpl) return call_same_level(cpu, t);
  return cpu.state.long_mode_active() ? call_inner_level64(cpu, t) : call_inner_level(cpu, t);
}

/// The target is not a code segment: gates and tasks, as far as the mode has them.
bool transfer_to_system(Cpu& cpu, u16 selector, Descriptor& d, bool call) {
  const bool long_mode = cpu.state.long_mode_active();
  if (d.is_system()) {
    switch (d.system_type()) {
      case SystemType::CallGate16:
        if (long_mode) break;
        [[fallthrough]];
      case SystemType::CallGate:
        return call ? call_through_gate(cpu, selector, d) : jump_through_gate(cpu, selector, d);
      case SystemType::TaskGate:
      case SystemType::Tss:
      case SystemType::Tss16:
        if (long_mode) break;
        return transfer_to_task(cpu, selector, d, call ? TaskSwitchCause::Call : TaskSwitchCause::Jump);
      default: break;
    }
  }
  return cpu.raise(Vector::GP, selector_code(selector));
}

}  // namespace

bool far_jump(Cpu& cpu, u16 selector, u64 offset) {
  if (!cpu.mode.protected_mode) return jump_8086(cpu, selector, offset);
  if (is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  if (!d.is_code()) return transfer_to_system(cpu, selector, d, false);
  if (!check_direct_code(cpu, selector, d)) return false;
  const Segment cs = d.segment(selector);
  if (!check_target(cpu, cs, offset) || !set_accessed(cpu, d)) return false;
  commit_code_segment(cpu.state, d.segment(selector), cpu.state.cpl, offset);
  cpu.update_mode();
  return true;
}

bool far_call(Cpu& cpu, u16 selector, u64 offset, unsigned width) {
  if (!cpu.mode.protected_mode) return call_8086(cpu, selector, offset, width);
  if (is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  if (!d.is_code()) return transfer_to_system(cpu, selector, d, true);
  GateTarget t{d.segment(selector), offset, cpu.state.cpl, width, 0};
  if (!check_direct_code(cpu, selector, d) || !check_target(cpu, t.cs, offset) || !set_accessed(cpu, d)) return false;
  t.cs = d.segment(selector);
  return call_same_level(cpu, t);
}

}  // namespace bunshin
