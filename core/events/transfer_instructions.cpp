// JMP, CALL and RET far, IRET, and the instructions that call a handler.

#include "core/events/debug.h"
#include "core/events/delivery.h"
#include "core/events/far_transfer.h"
#include "core/events/instructions.h"
#include "core/virt/intercept.h"

namespace bunshin::semantics {

namespace {

struct FarPointer {
  u64 offset = 0;
  u16 selector = 0;
};

FarPointer immediate_pointer(const Record& r) {
  const u64 mask = r.operand_bytes() == 2 ? 0xffff : 0xffff'ffff;
  return {r.imm & mask, static_cast<u16>(r.imm >> 32)};
}

template <class T>
bool load_offset(Cpu& cpu, Seg seg, u64 address, u64& offset) {
  T value = 0;
  if (!cpu.load(seg, address, value)) return false;
  offset = value;
  return true;
}

bool memory_pointer(Cpu& cpu, const Record& r, FarPointer& out) {
  const u64 address = cpu.effective_address(r);
  const Seg seg = cpu.segment_of(r);
  const unsigned width = r.operand_bytes();
  const bool loaded = width == 2   ? load_offset<u16>(cpu, seg, address, out.offset)
                      : width == 4 ? load_offset<u32>(cpu, seg, address, out.offset)
                                   : load_offset<u64>(cpu, seg, address, out.offset);
  return loaded && cpu.load(seg, cpu.part_address(r, width), out.selector);
}

template <class T>
bool out_of_bounds(Cpu& cpu, const Record& r, bool& outside) {
  using Signed = std::make_signed_t<T>;
  const u64 address = cpu.effective_address(r);
  T lower = 0;
  T upper = 0;
  if (!cpu.load(cpu.segment_of(r), address, lower) ||
      !cpu.load(cpu.segment_of(r), cpu.part_address(r, sizeof(T)), upper)) {
    return false;
  }
  const auto index = static_cast<Signed>(cpu.reg<T>(r.reg));
  outside = index < static_cast<Signed>(lower) || index > static_cast<Signed>(upper);
  return true;
}

}  // namespace

bool jmp_far_direct(Cpu& cpu, const Record& r) {
  const FarPointer p = immediate_pointer(r);
  return far_jump(cpu, p.selector, p.offset);
}

bool jmp_far_indirect(Cpu& cpu, const Record& r) {
  FarPointer p;
  return memory_pointer(cpu, r, p) && far_jump(cpu, p.selector, p.offset);
}

bool call_far_direct(Cpu& cpu, const Record& r) {
  const FarPointer p = immediate_pointer(r);
  return far_call(cpu, p.selector, p.offset, r.operand_bytes());
}

bool call_far_indirect(Cpu& cpu, const Record& r) {
  FarPointer p;
  return memory_pointer(cpu, r, p) && far_call(cpu, p.selector, p.offset, r.operand_bytes());
}

bool ret_far(Cpu& cpu, const Record& r) { return far_return(cpu, r.operand_bytes(), static_cast<u16>(r.imm)); }

bool iret(Cpu& cpu, const Record& r) {
  return !intercepted(cpu, r, Intercept::Iret) && interrupt_return(cpu, r.operand_bytes());
}

bool int_n(Cpu& cpu, const Record& r) {
  return software_interrupt(cpu, r, static_cast<u8>(r.imm), EventKind::SoftwareInterrupt);
}

bool int3(Cpu& cpu, const Record& r) { return software_interrupt(cpu, r, 3, EventKind::SoftwareException); }

bool into(Cpu& cpu, const Record& r) {
  return !cpu.state.flags.of() || software_interrupt(cpu, r, 4, EventKind::SoftwareException);
}

/// The breakpoints that a MOV SS before it holds back are part of the one debug exception.
bool int1(Cpu& cpu, const Record& r) {
  CpuState& s = cpu.state;
  const u64 held = s.pending_debug & dr6::breakpoints;
  if (!software_interrupt(cpu, r, 1, EventKind::PrivilegedSoftwareException)) return false;
  s.pending_debug &= ~held;
  s.dr[6] |= held;
  return true;
}

bool bound(Cpu& cpu, const Record& r) {
  bool outside = false;
  const bool narrow = r.operand_bytes() == 2;
  const bool loaded = narrow ? out_of_bounds<u16>(cpu, r, outside) : out_of_bounds<u32>(cpu, r, outside);
  return loaded && (!outside || cpu.raise(Vector::BR));
}

bool undefined(Cpu& cpu, const Record&) { return cpu.raise(Vector::UD); }

}  // namespace bunshin::semantics
