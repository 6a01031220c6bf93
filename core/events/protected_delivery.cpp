// Event delivery through 16- and 32-bit gates (SDM vol. 3, 6.12 and 20.3.1).

#include "core/events/delivery.h"
#include "core/events/segmentation.h"
#include "core/events/stack.h"
#include "core/events/task_switch.h"

namespace bunshin {

namespace {

struct Target {
  Segment cs;
  unsigned cpl = 0;
  u64 rip = 0;
  unsigned width = 4;  ///< of what is pushed, in bytes
  bool clears_if = false;
};

bool is_valid_gate(const Descriptor& gate) {
  if (!gate.is_system()) return false;
  switch (gate.system_type()) {
    case SystemType::TaskGate:
    case SystemType::InterruptGate16:
    case SystemType::TrapGate16:
    case SystemType::InterruptGate:
    case SystemType::TrapGate: return true;
    default: return false;
  }
}

bool read_gate(Cpu& cpu, const Event& event, Descriptor& gate) {
  const CpuState& s = cpu.state;
  if (event.vector * 8u + 7 > s.idtr.limit) return cpu.raise(Vector::GP, idt_code(event.vector));
  if (!cpu.load_system(static_cast<u32>(s.idtr.base + event.vector * 8u), gate.low)) return false;
  if (!is_valid_gate(gate) || (event.by_software() && gate.dpl() < s.cpl)) {
    return cpu.raise(Vector::GP, idt_code(event.vector));
  }
  return gate.present() || cpu.raise(Vector::NP, idt_code(event.vector));
}

bool read_target(Cpu& cpu, const Descriptor& gate, Target& t) {
  const CpuState& s = cpu.state;
  const u16 selector = gate.gate_selector();
  if (is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  if (!d.is_code() || d.dpl() > s.cpl) return cpu.raise(Vector::GP, selector_code(selector));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(selector));
  t.cpl = d.is_conforming() ? s.cpl : d.dpl();
  // From virtual-8086 mode only level 0 can be entered.
  if (s.v86() && t.cpl != 0) return cpu.raise(Vector::GP, selector_code(selector));
  const SystemType type = gate.system_type();
  t.width = type == SystemType::InterruptGate || type == SystemType::TrapGate ? 4 : 2;
  t.clears_if = type == SystemType::InterruptGate || type == SystemType::InterruptGate16;
  t.rip = t.width == 4 ? gate.gate_offset() : gate.gate_offset() & 0xffff;
  t.cs = d.segment(selector);
  return check_target(cpu, t.cs, t.rip) && set_accessed(cpu, d);
}

bool push_return(Stack& stack, const Event& event, const CpuState& s, unsigned width) {
  return stack.push(width, event.flags) && stack.push(width, s.segment(Seg::CS).selector) &&
         stack.push(width, event.return_rip) && (!event.has_error_code || stack.push(width, event.error_code));
}

bool push_outer_context(Stack& stack, const CpuState& s, unsigned width) {
  if (s.v86()) {
    for (const Seg seg : {Seg::GS, Seg::FS, Seg::DS, Seg::ES}) {
      if (!stack.push(width, s.segment(seg).selector)) return false;
    }
  }
  return stack.push(width, s.segment(Seg::SS).selector) && stack.push(width, s.gpr[RSP]);
}

void enter_handler(Cpu& cpu, const Target& t) {
  CpuState& s = cpu.state;
  commit_code_segment(s, t.cs, t.cpl, t.rip);
  s.flags.system &= ~(rflags::TF | rflags::NT | rflags::RF | rflags::VM | (t.clears_if ? rflags::IF : 0));
  cpu.update_mode();
}

bool enter_inner(Cpu& cpu, const Event& event, const Target& t) {
  CpuState& s = cpu.state;
  InnerStack inner;
  if (!read_inner_stack(cpu, t.cpl, inner)) return false;
  if (is_null_selector(inner.selector)) return cpu.raise(Vector::TS, 0);
  Segment ss;
  if (!fetch_stack_segment(cpu, inner.selector, t.cpl, Vector::TS, ss)) return false;
  Stack stack(cpu, ss, inner.pointer);
  if (!push_outer_context(stack, s, t.width) || !push_return(stack, event, s, t.width)) return false;
  if (s.v86()) {
    for (const Seg seg : {Seg::GS, Seg::FS, Seg::DS, Seg::ES}) load_null_segment(s.segment(seg), 0);
  }
  s.segment(Seg::SS) = ss;
  stack.commit();
  enter_handler(cpu, t);
  return true;
}

bool enter_same(Cpu& cpu, const Event& event, const Target& t) {
  Stack stack(cpu);
  if (!push_return(stack, event, cpu.state, t.width)) return false;
  stack.commit();
  enter_handler(cpu, t);
  return true;
}

bool enter_task(Cpu& cpu, Event& event, const Descriptor& gate) {
  const u16 selector = gate.gate_selector();
  Descriptor tss;
  if (!read_available_tss(cpu, selector, tss)) return false;
  TaskSwitch request{TaskSwitchCause::Interrupt, selector, tss, event.return_rip, event.flags, {}};
  if (event.has_error_code) request.error_code = event.error_code;
  const TaskSwitchResult result = switch_task(cpu, request);
  event.in_new_task = result == TaskSwitchResult::FaultInNewTask;
  return result == TaskSwitchResult::Done;
}

}  // namespace

bool deliver_protected(Cpu& cpu, Event& event) {
  Descriptor gate;
  if (!read_gate(cpu, event, gate)) return false;
  if (gate.system_type() == SystemType::TaskGate) return enter_task(cpu, event, gate);
  Target t;
  if (!read_target(cpu, gate, t)) return false;
  return t.cpl != cpu.state.cpl ? enter_inner(cpu, event, t) : enter_same(cpu, event, t);
}

}  // namespace bunshin
