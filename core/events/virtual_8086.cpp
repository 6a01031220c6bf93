#include "core/events/virtual_8086.h"

#include "core/events/segmentation.h"
#include "core/events/stack.h"

namespace bunshin {

bool enter_8086_handler(Cpu& cpu, u64 entry, u64 pushed_flags, u64 cleared_flags, u64 return_rip) {
  CpuState& s = cpu.state;
  u32 handler = 0;
  if (!cpu.load_linear(static_cast<u32>(entry), handler)) return false;
  Stack stack(cpu);
  if (!stack.push(2, pushed_flags) || !stack.push(2, s.segment(Seg::CS).selector) || !stack.push(2, return_rip)) {
    return false;
  }
  stack.commit();
  load_8086_segment(s, Seg::CS, static_cast<u16>(handler >> 16));
  s.rip = handler & 0xffff;
  s.flags.system &= ~cleared_flags;
  cpu.update_mode();
  return true;
}

namespace {

/// The bit of the software-interrupt redirection map, which ends where the I/O permission map begins. A TSS that cannot
/// hold it makes the interrupt fault as the I/O map's does.
bool read_redirection_bit(Cpu& cpu, u8 vector, bool& protected_handler) {
  const Segment& tr = cpu.state.tr;
  if (tr.is_null() || (tr.type() & 8) == 0 || tr.limit < 0x67) return cpu.raise(Vector::GP, 0);
  u16 io_map = 0;
  if (!cpu.load_system(static_cast<u32>(tr.base + 0x66), io_map)) return false;
  const u32 offset = io_map - 32u + vector / 8u;
  if (io_map < 32 || offset > tr.limit) return cpu.raise(Vector::GP, 0);
  u8 bits = 0;
  if (!cpu.load_system(static_cast<u32>(tr.base + offset), bits)) return false;
  protected_handler = ((bits >> (vector & 7)) & 1) != 0;
  return true;
}

}  // namespace

InterruptRoute route_virtual_8086_interrupt(Cpu& cpu, u8 vector) {
  if ((cpu.state.cr4 & cr4::VME) != 0) {
    bool protected_handler = false;
    if (!read_redirection_bit(cpu, vector, protected_handler)) return InterruptRoute::Fault;
    if (!protected_handler) return InterruptRoute::Program;
  }
  if (cpu.state.iopl() == 3) return InterruptRoute::Protected;
  cpu.raise(Vector::GP, 0);
  return InterruptRoute::Fault;
}

bool deliver_to_8086_program(Cpu& cpu, u8 vector, u64 return_rip) {
  const CpuState& s = cpu.state;
  u64 pushed = s.flags.value();
  u64 cleared = rflags::TF | rflags::NT | rflags::RF;
  if (s.iopl() == 3) {
    cleared |= rflags::IF;
  } else {
    // The program sees VIF as its IF, and an IOPL of 3 (SDM vol. 3, 20.3.3.4).
    pushed = (pushed & ~rflags::IF) | rflags::IOPL | ((pushed & rflags::VIF) != 0 ? rflags::IF : 0);
    cleared |= rflags::VIF;
  }
  return enter_8086_handler(cpu, vector * 4u, pushed, cleared, return_rip);
}

}  // namespace bunshin
