// MOV, PUSH and POP of segment registers, LDS and its kin, and the LDT and task registers.

#include "core/events/instructions.h"
#include "core/events/segmentation.h"
#include "core/events/stack.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {

namespace {

/// Interrupts and debug exceptions wait until rSP has had its chance too (SDM vol. 3, 6.8.3).
void shadow_stack_load(CpuState& s, Seg seg) {
  if (seg == Seg::SS) s.interrupt_shadow = s.debug_shadow = true;
}

/// 16 bits to memory whatever the operand size; zero-extended to a register (SDM vol. 2, MOV).
bool store_selector(Cpu& cpu, const Record& r, u16 selector) {
  if (r.has_memory()) return cpu.store(r, selector);
  switch (r.operand_bytes()) {
    case 2: cpu.set_reg<u16>(r.rm, selector); break;
    case 4: cpu.set_reg<u32>(r.rm, selector); break;
    default: cpu.set_reg<u64>(r.rm, selector); break;
  }
  return true;
}

bool load_selector(Cpu& cpu, const Record& r, u16& selector) {
  if (r.has_memory()) return cpu.load(r, selector);
  selector = cpu.reg<u16>(r.rm);
  return true;
}

}  // namespace

bool mov_to_segment(Cpu& cpu, const Record& r) {
  const Seg seg = static_cast<Seg>(r.reg);
  if (seg == Seg::CS || seg > Seg::GS) return cpu.raise(Vector::UD);
  u16 selector = 0;
  if (!load_selector(cpu, r, selector) || !load_segment(cpu, seg, selector)) return false;
  shadow_stack_load(cpu.state, seg);
  return true;
}

bool mov_from_segment(Cpu& cpu, const Record& r) {
  if (static_cast<Seg>(r.reg) > Seg::GS) return cpu.raise(Vector::UD);
  return store_selector(cpu, r, cpu.state.seg[r.reg].selector);
}

bool push_segment(Cpu& cpu, const Record& r, Seg seg) {
  CpuState& s = cpu.state;
  const u16 selector = s.segment(seg).selector;
  Stack stack(cpu);
  if (r.operand_bytes() == 4) {
    // With a 32-bit operand size only 16 bits are written (SDM vol. 2, PUSH).
    stack.skip(~u64{4} + 1);
    Stack low = stack;
    low.skip(2);
    if (!low.push(2, selector)) return false;
  } else if (!stack.push(r.operand_bytes(), selector)) {
    return false;
  }
  stack.commit();
  return true;
}

bool pop_segment(Cpu& cpu, const Record& r, Seg seg) {
  Stack stack(cpu);
  u64 selector = 0;
  if (!stack.pop(r.operand_bytes(), selector) || !load_segment(cpu, seg, static_cast<u16>(selector))) return false;
  stack.commit();
  shadow_stack_load(cpu.state, seg);
  return true;
}

bool load_far_pointer(Cpu& cpu, const Record& r, Seg seg) {
  const u64 address = cpu.effective_address(r);
  const Seg from = cpu.segment_of(r);
  const unsigned width = r.operand_bytes();
  u16 word = 0;
  u32 dword = 0;
  u64 qword = 0;
  u16 selector = 0;
  const bool loaded = width == 2   ? cpu.load(from, address, word)
                      : width == 4 ? cpu.load(from, address, dword)
                                   : cpu.load(from, address, qword);
  if (!loaded || !cpu.load(from, cpu.part_address(r, width), selector) || !load_segment(cpu, seg, selector))
    return false;
  if (width == 2)
    cpu.set_reg(r.reg, word);
  else if (width == 4)
    cpu.set_reg(r.reg, dword);
  else
    cpu.set_reg(r.reg, qword);
  return true;
}

bool lldt(Cpu& cpu, const Record& r) {
  u16 selector = 0;
  if (intercepted(cpu, r, Intercept::Lldt)) return false;
  return load_selector(cpu, r, selector) && load_ldtr(cpu, selector);
}

bool ltr(Cpu& cpu, const Record& r) {
  u16 selector = 0;
  if (intercepted(cpu, r, Intercept::Ltr)) return false;
  return load_selector(cpu, r, selector) && load_tr(cpu, selector);
}

}  // namespace bunshin::semantics
