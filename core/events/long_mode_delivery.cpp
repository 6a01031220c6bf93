// Event delivery in IA-32e mode (SDM vol. 3, 6.14; APM vol. 2, 8.9): the hot one.

#include <array>

#include "core/events/delivery.h"
#include "core/events/segmentation.h"

namespace bunshin {

namespace {

struct Target {
  Segment cs;
  unsigned cpl = 0;
  u64 rip = 0;
  u64 rsp = 0;
  bool clears_if = false;
};

bool read_gate(Cpu& cpu, const Event& event, Descriptor& gate) {
  const CpuState& s = cpu.state;
  if (event.vector * 16u + 15 > s.idtr.limit) return cpu.raise(Vector::GP, idt_code(event.vector));
  std::array<u64, 2> halves{};
  if (!cpu.load_system(s.idtr.base + event.vector * 16u, halves)) return false;
  gate.low = halves[0];
  gate.high = halves[1];
  const SystemType type = gate.system_type();
  const bool valid = gate.is_system() && (type == SystemType::InterruptGate || type == SystemType::TrapGate);
  if (!valid || (event.by_software() && gate.dpl() < s.cpl)) return cpu.raise(Vector::GP, idt_code(event.vector));
  return gate.present() || cpu.raise(Vector::NP, idt_code(event.vector));
}

bool read_target(Cpu& cpu, const Descriptor& gate, Target& t) {
  const u16 selector = gate.gate_selector();
  if (is_null_selector(selector)) return cpu.raise(Vector::GP, 0);
  Descriptor d;
  if (!read_descriptor(cpu, selector, d, Vector::GP)) return false;
  if (!d.is_code() || d.dpl() > cpu.state.cpl) return cpu.raise(Vector::GP, selector_code(selector));
  if (!d.present()) return cpu.raise(Vector::NP, selector_code(selector));
  if (!d.is_long() || d.is_big()) return cpu.raise(Vector::GP, selector_code(selector));
  if (!set_accessed(cpu, d)) return false;
  t.cs = d.segment(selector);
  t.cpl = d.is_conforming() ? cpu.state.cpl : d.dpl();
  t.rip = (gate.gate_offset() & 0xffff'ffff) | (gate.high << 32);
  t.clears_if = gate.system_type() == SystemType::InterruptGate;
  return canonical(cpu, t.rip) || cpu.raise(Vector::GP, 0);
}

/// Pushes the frame in one write: it is at most 48 bytes, and aligned.
bool push_frame(Cpu& cpu, const Event& event, Target& t) {
  const CpuState& s = cpu.state;
  std::array<u64, 6> frame{event.error_code, event.return_rip, s.segment(Seg::CS).selector,
                           event.flags,      s.gpr[RSP],       s.segment(Seg::SS).selector};
  t.rsp &= ~u64{0xf};
  const unsigned first = event.has_error_code ? 0 : 1;
  const unsigned bytes = (6 - first) * 8;
  t.rsp -= bytes;
  if (!canonical(cpu, t.rsp)) return cpu.raise(Vector::SS, 0);
  if (t.cpl == 3) return cpu.write_slow(t.rsp, &frame[first], bytes, Cpu::Privilege::Current);
  if (event.has_error_code) return cpu.store_system(t.rsp, frame);
  std::array<u64, 5> short_frame{frame[1], frame[2], frame[3], frame[4], frame[5]};
  return cpu.store_system(t.rsp, short_frame);
}

}  // namespace

bool deliver_long_mode(Cpu& cpu, const Event& event) {
  CpuState& s = cpu.state;
  Descriptor gate;
  Target t;
  if (!read_gate(cpu, event, gate) || !read_target(cpu, gate, t)) return false;
  const bool inner = t.cpl != s.cpl;
  t.rsp = s.gpr[RSP];
  if ((gate.gate_ist() != 0 || inner) && !read_inner_stack64(cpu, t.cpl, gate.gate_ist(), t.rsp)) return false;
  if (!push_frame(cpu, event, t)) return false;

  const bool mode_changes = inner || cpu.mode.bits != 64;
  s.gpr[RSP] = t.rsp;
  if (inner) load_null_stack(s, t.cpl);
  commit_code_segment(s, t.cs, t.cpl, t.rip);
  s.flags.system &= ~(rflags::TF | rflags::NT | rflags::RF | rflags::VM | (t.clears_if ? rflags::IF : 0));
  if (mode_changes) cpu.update_mode();
  return true;
}

}  // namespace bunshin
