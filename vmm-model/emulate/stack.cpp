// The stack, and near transfers of control.

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

namespace {

constexpr u64 privilege_level = 3 << 12, nested_task = 1 << 14, identification = 1 << 21;

constexpr std::array<Gpr, 8> all_registers{rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi};

}  // namespace

/// Where `size` bytes at this offset from the stack pointer lie.
bool Emulation::stack_access(i64 offset, unsigned size, bool write, u64& linear) {
  const u64 at = (cpu_.registers[rsp] + static_cast<u64>(offset)) & size_mask(cpu_.stack_size);
  if (!access_.in_segment(SegmentName::ss, at, size, write)) return false;
  linear = cpu_.segment_base[static_cast<unsigned>(SegmentName::ss)] + at;
  if (cpu_.code_bits != 64) linear &= 0xffff'ffff;
  return true;
}

void Emulation::move_stack(i64 bytes) {
  const u64 mask = size_mask(cpu_.stack_size), moved = cpu_.registers[rsp] + static_cast<u64>(bytes);
  cpu_.registers[rsp] = (cpu_.registers[rsp] & ~mask) | (moved & mask);
}

bool Emulation::push(u64 value) {
  const unsigned size = insn_.operand_size;
  u64 at = 0;
  if (!stack_access(-i64{size}, size, true, at) || !access_.write(at, size, value & size_mask(size))) return false;
  move_stack(-i64{size});
  return true;
}

/// Where this instruction leads.
bool Emulation::go(u64 target) {
  if (cpu_.code_bits == 64) {
    if (!is_canonical(target, guest_linear_bits)) return raise(vector::GP);
  } else {
    target &= size_mask(insn_.operand_size);
    if (!access_.in_segment(SegmentName::cs, target, 1, false)) return false;
  }
  next_ = target;
  return true;
}

bool Emulation::push_operand() {
  constexpr u8 group_5 = 0xff;
  u64 value = insn_.immediate;
  if (!insn_.has_immediate && !read_rm(value, insn_.operand_size)) return false;
  const bool from_memory = insn_.opcode == group_5 && insn_.memory;
  return push(from_memory ? value : value & size_mask(insn_.operand_size));
}

bool Emulation::push_segment() { return push(access_.selector(static_cast<SegmentName>(insn_.opcode >> 3 & 7))); }

bool Emulation::push_all() {
  const GeneralRegisters before = cpu_.registers;
  for (const Gpr name : all_registers) {
    if (push(before[name])) continue;
    cpu_.registers = before;
    return false;
  }
  return true;
}

bool Emulation::push_flags() { return push(cpu_.flags & ~(rflags::VM | rflags::RF)); }

// A memory operand that RSP addresses lies where RSP points behind the pop (SDM vol. 2, POP).
bool Emulation::pop_operand() {
  const unsigned size = insn_.operand_size;
  const u64 before = cpu_.registers[rsp];
  u64 at = 0, value = 0;
  if (!stack_access(0, size, false, at)) return false;
  if (!access_.read(at, size, value, Intent::Read)) return false;
  move_stack(size);
  if (write_rm(value)) return true;
  cpu_.registers[rsp] = before;
  return false;
}

bool Emulation::pop_all() {
  const unsigned size = insn_.operand_size;
  std::array<u64, 8> values{};
  for (unsigned i = 0; i < values.size(); ++i) {
    u64 at = 0;
    if (!stack_access(i64{i} * size, size, false, at)) return false;
    if (!access_.read(at, size, values[7 - i], Intent::Read)) return false;
  }
  move_stack(i64{8} * size);
  for (const Gpr name : all_registers) {
    if (name != rsp) set_accumulator(name, size, values[name]);
  }
  return true;
}

bool Emulation::pop_flags() {
  const unsigned size = insn_.operand_size;
  u64 at = 0, value = 0;
  if (!stack_access(0, size, false, at) || !access_.read(at, size, value, Intent::Read)) return false;
  u64 changes = rflags::arithmetic | rflags::TF | rflags::DF | nested_task | rflags::AC | identification;
  if (cpu_.cpl <= (cpu_.flags & privilege_level) >> 12) changes |= rflags::IF;
  if (cpu_.cpl == 0) changes |= privilege_level;
  changes &= size_mask(size);
  cpu_.flags = ((cpu_.flags & ~changes) | (value & changes)) & ~rflags::RF;
  move_stack(size);
  return true;
}

bool Emulation::enter() {
  const GeneralRegisters before = cpu_.registers;
  const unsigned size = insn_.operand_size, level = insn_.immediate >> 16 & 31;
  const auto refused = [&] {
    cpu_.registers = before;
    return false;
  };
  if (!push(cpu_.registers[rbp])) return refused();
  const u64 frame = cpu_.registers[rsp];
  for (unsigned i = 1; i < level; ++i) {
    // The frame pointers of the levels above, as far from RSP as RBP is.
    const u64 distance = before[rbp] - u64{i} * size - cpu_.registers[rsp];
    u64 at = 0, value = 0;
    if (!stack_access(static_cast<i64>(distance), size, false, at)) return refused();
    if (!access_.read(at, size, value, Intent::Read) || !push(value)) return refused();
  }
  if (level != 0 && !push(frame)) return refused();
  move_stack(-static_cast<i64>(insn_.immediate & 0xffff));
  u64 end = 0;
  if (!stack_access(0, size, true, end) || !access_.permits(end, size, Intent::Modify)) return refused();
  set_accumulator(rbp, size, frame);
  return true;
}

bool Emulation::leave() {
  const unsigned size = insn_.operand_size;
  const i64 distance = static_cast<i64>(cpu_.registers[rbp] - cpu_.registers[rsp]);
  u64 at = 0, value = 0;
  if (!stack_access(distance, size, false, at) || !access_.read(at, size, value, Intent::Read)) return false;
  move_stack(distance + size);
  set_accumulator(rbp, size, value);
  return true;
}

bool Emulation::call() {
  u64 target = next_ + insn_.immediate;
  const u64 behind = next_;
  if (!insn_.has_immediate && !read_rm(target, insn_.operand_size)) return false;
  return go(target) && push(behind);
}

bool Emulation::call_return() {
  const unsigned size = insn_.operand_size;
  u64 at = 0, target = 0;
  if (!stack_access(0, size, false, at) || !access_.read(at, size, target, Intent::Read) || !go(target)) return false;
  move_stack(i64{size} + static_cast<i64>(insn_.has_immediate ? insn_.immediate : 0));
  return true;
}

bool Emulation::jump() {
  u64 target = next_ + insn_.immediate;
  if (!insn_.has_immediate && !read_rm(target, insn_.operand_size)) return false;
  return go(target);
}

bool Emulation::jump_if() { return !condition() || go(next_ + insn_.immediate); }

/// LOOPNE, LOOPE, LOOP, JCXZ.
bool Emulation::loop() {
  const unsigned kind = insn_.opcode & 3;
  const u64 left = masked(cpu_.registers[rcx] - (kind == 3 ? 0 : 1));
  const bool equal = (cpu_.flags & rflags::ZF) != 0;
  const bool taken = kind == 3 ? left == 0 : left != 0 && (kind == 2 || equal == (kind == 1));
  if (taken && !go(next_ + insn_.immediate)) return false;
  if (kind != 3) set_accumulator(rcx, insn_.address_size, left);
  return true;
}

}  // namespace bunshin::vmm
