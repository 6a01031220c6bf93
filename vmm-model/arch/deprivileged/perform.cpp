// Instructions of a guest's kernel that are performed for it, but for far transfers (transfers.cpp): operands, stack, flags, table
// registers, and what reads descriptors (SDM vol. 2).

#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u64 privilege_flags = 3 << 12, nested_task = 1 << 14, id_flag = 1 << 21;
constexpr u16 available_task = 9, ldt_type = 2, type_mask = 0xf;

/// What POPF and IRET may change at any level.
constexpr u64 user_flags = rflags::arithmetic | rflags::TF | rflags::DF | nested_task | rflags::AC | id_flag;

}  // namespace

void DeprivilegedExecution::advance() {
  u64& rip = field(StateField::rip);
  rip = (rip + code_.length) & (code_bits() == 32 ? 0xffff'ffff : 0xffff);
  field(StateField::interrupt_shadow) = 0;
}

bool DeprivilegedExecution::page_fault_event() {
  field(StateField::cr2) = linear_.address();
  return fail(vector::PF, linear_.error_code());
}

bool DeprivilegedExecution::read_linear(u32 linear, unsigned size, u64& value) {
  return linear_.read(linear, size, value, cpl() == 3) || page_fault_event();
}

bool DeprivilegedExecution::write_linear(u32 linear, unsigned size, u64 value) {
  return linear_.write(linear, size, value, cpl() == 3) || page_fault_event();
}

u32 DeprivilegedExecution::operand_linear() {
  const u64 offset = operand_offset(code_.operand, registers, field(StateField::rip));
  return static_cast<u32>(seg(code_.operand.segment).base + offset);
}

bool DeprivilegedExecution::read_operand(unsigned size, u64& value) {
  if (code_.operand.memory) return read_linear(operand_linear(), size, value);
  value = read_register(registers, code_.operand.rm, size, true);
  return true;
}

bool DeprivilegedExecution::write_operand(unsigned size, u64 value) {
  if (code_.operand.memory) return write_linear(operand_linear(), size, value);
  set_register(code_.operand.rm, size, value);
  return true;
}

u32 DeprivilegedExecution::stack_at(i32 offset) {
  const u32 at = (static_cast<u32>(registers[rsp]) + static_cast<u32>(offset)) & stack_mask();
  return static_cast<u32>(seg(SegmentName::ss).base) + at;
}

bool DeprivilegedExecution::read_stack(unsigned size, std::span<u32> words) {
  if (size == 4 && stack_mask() == 0xffff'ffff) {
    const std::span<u8> bytes(reinterpret_cast<u8*>(words.data()), words.size_bytes());
    return linear_.read(stack_at(0), bytes, {false, false, cpl() == 3}) || page_fault_event();
  }
  for (unsigned i = 0; i < words.size(); ++i) {
    u64 value = 0;
    if (!read_linear(stack_at(static_cast<i32>(i * size)), size, value)) return false;
    words[i] = static_cast<u32>(value);
  }
  return true;
}

void DeprivilegedExecution::move_stack(i32 bytes) {
  const u32 mask = stack_mask(), old = static_cast<u32>(registers[rsp]);
  registers[rsp] = (old & ~mask) | ((old + static_cast<u32>(bytes)) & mask);
}

bool DeprivilegedExecution::push(unsigned size, u64 value) {
  if (!write_linear(stack_at(-static_cast<i32>(size)), size, value)) return false;
  move_stack(-static_cast<i32>(size));
  return true;
}

/// MOV to the stack pointer from memory.
bool DeprivilegedExecution::load_stack() {
  u64 value = 0;
  if (!read_operand(code_.operand.operand_size, value)) return false;
  set_register(rsp, code_.operand.operand_size, value);
  scanner_.prepare_returns(stack_at(0), CodeScanner::words_of_new_stack, static_cast<u32>(seg(SegmentName::cs).base),
                           code_bits());
  return true;
}

// VM and RF are not pushed.
bool DeprivilegedExecution::push_flags() {
  return push(code_.operand.operand_size, field(StateField::rflags) & ~(rflags::VM | rflags::RF));
}

bool DeprivilegedExecution::pop_flags() {
  const unsigned size = code_.operand.operand_size;
  u64 value = 0;
  if (!read_linear(stack_at(0), size, value)) return false;
  move_stack(static_cast<i32>(size));
  load_flags(value & ~u64{rflags::RF}, size, cpl());
  return true;
}

void DeprivilegedExecution::load_flags(u64 value, unsigned size, unsigned level) {
  u64& flags = field(StateField::rflags);
  u64 mask = user_flags | rflags::RF;
  if (level <= (flags >> 12 & 3)) mask |= rflags::IF;
  if (level == 0) mask |= privilege_flags;
  if (size == 2) mask &= 0xffff;
  flags = (flags & ~mask) | (value & mask) | rflags::fixed;
}

bool DeprivilegedExecution::set_interrupt_flag(bool on) {
  u64& flags = field(StateField::rflags);
  if (cpl() > (flags >> 12 & 3)) return fail(vector::GP, 0);
  // The instruction behind STI runs before any interrupt comes.
  if (on && (flags & rflags::IF) == 0) field(StateField::interrupt_shadow) = 1;
  flags = on ? flags | rflags::IF : flags & ~u64{rflags::IF};
  return true;
}

bool DeprivilegedExecution::store_table(SegmentName name) {
  const SegmentState& table = seg(name);
  std::array<u8, 6> bytes{};
  const u64 value = (table.limit & 0xffff) | (table.base & 0xffff'ffff) << 16;
  for (unsigned i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<u8>(value >> 8 * i);
  return linear_.write(operand_linear(), bytes, cpl() == 3) || page_fault_event();
}

bool DeprivilegedExecution::load_table(SegmentName name) {
  u64 limit = 0, base = 0;
  const u32 at = operand_linear();
  if (cpl() != 0) return fail(vector::GP, 0);
  if (!read_linear(at, 2, limit) || !read_linear(at + 2, 4, base)) return false;
  if (code_.operand.operand_size == 2) base &= 0xff'ffff;
  set_segment(name, {0, 0, static_cast<u32>(limit), base});
  return true;
}

bool DeprivilegedExecution::load_ldt(u16 selector) {
  u64 descriptor = 0;
  bool there = false;
  if (cpl() != 0) return fail(vector::GP, 0);
  if ((selector & 0xfffc) == 0) {
    set_segment(SegmentName::ldtr, {selector, segment::P | ldt_type, 0, 0});
    return true;
  }
  if (!read_descriptor(selector, descriptor, there)) return false;
  const SegmentState state = segment_of(selector, descriptor);
  const bool good = there && (selector & 4) == 0 && (state.attributes & (segment::S | type_mask)) == ldt_type;
  if (!good || (state.attributes & segment::P) == 0) return fail(vector::GP, selector & 0xfffcu);
  set_segment(SegmentName::ldtr, state);
  return true;
}

bool DeprivilegedExecution::load_task(u16 selector) {
  constexpr u16 busy = 2;
  constexpr u32 busy_at = 5;
  u64 descriptor = 0;
  bool there = false;
  if (cpl() != 0) return fail(vector::GP, 0);
  if (!read_descriptor(selector, descriptor, there)) return false;
  SegmentState state = segment_of(selector, descriptor);
  const bool good = there && (selector & 4) == 0 && (state.attributes & (segment::S | 7)) == (available_task & 7);
  if (!good || (state.attributes & segment::P) == 0) return fail(vector::GP, selector & 0xfffcu);
  state.attributes |= busy;
  const u32 at = static_cast<u32>(seg(SegmentName::gdtr).base) + (selector & 0xfff8u) + busy_at;
  if (!linear_.write(at, 1, state.attributes & 0xff, false)) return page_fault_event();
  change(SegmentName::tr) = state;
  return true;
}

/// The descriptor as LAR, LSL, VERR and VERW see it: none if it may not be looked at. ZF clear is no fault.
bool DeprivilegedExecution::visible(u16 selector, u64& descriptor) {
  bool there = false;
  if ((selector & 0xfffc) == 0 || !read_descriptor(selector, descriptor, there) || !there) return false;
  const SegmentState state = segment_of(selector, descriptor);
  const unsigned dpl = state.attributes >> segment::dpl_shift & 3;
  const bool conforming = (state.attributes & (segment::S | 0xc)) == (segment::S | 0xc);
  return conforming || (dpl >= cpl() && dpl >= (selector & 3u));
}

bool DeprivilegedExecution::verify(bool write) {
  u64 selector = 0, descriptor = 0;
  if (!read_operand(2, selector)) return false;
  bool good = visible(static_cast<u16>(selector), descriptor);
  if (fault_) return false;
  const u16 attributes = segment_of(0, descriptor).attributes;
  const bool code = (attributes & 8) != 0, second = (attributes & 2) != 0;
  good = good && (attributes & segment::S) != 0 && (write ? !code && second : !code || second);
  u64& flags = field(StateField::rflags);
  flags = good ? flags | rflags::ZF : flags & ~u64{rflags::ZF};
  return true;
}

// Which system descriptors LAR and LSL know: SDM vol. 2, tables of both instructions.
bool DeprivilegedExecution::load_access_rights(bool limit) {
  constexpr u32 for_rights = 0x1a3e, for_limit = 0x0a0e;
  u64 selector = 0, descriptor = 0;
  if (!read_operand(2, selector)) return false;
  bool good = visible(static_cast<u16>(selector), descriptor);
  if (fault_) return false;
  const SegmentState state = segment_of(0, descriptor);
  if ((state.attributes & segment::S) == 0) {
    good = good && ((limit ? for_limit : for_rights) >> (state.attributes & type_mask) & 1) != 0;
  }
  u64& flags = field(StateField::rflags);
  flags = good ? flags | rflags::ZF : flags & ~u64{rflags::ZF};
  if (good) {
    set_register(code_.reg(), code_.operand.operand_size, limit ? state.limit : descriptor >> 32 & 0xf0'ff00);
  }
  return true;
}

bool DeprivilegedExecution::group_6() {
  const unsigned size = code_.operand.memory ? 2 : code_.operand.operand_size;
  u64 selector = 0;
  switch (code_.reg()) {
    case 0: return write_operand(size, seg(SegmentName::ldtr).selector);
    case 1: return write_operand(size, seg(SegmentName::tr).selector);
    case 2: return read_operand(2, selector) && load_ldt(static_cast<u16>(selector));
    case 3: return read_operand(2, selector) && load_task(static_cast<u16>(selector));
    case 4:
    case 5: return verify(code_.reg() == 5);
    default: return fail(vector::UD);
  }
}

bool DeprivilegedExecution::group_7() {
  const unsigned size = code_.operand.memory ? 2 : code_.operand.operand_size;
  switch (code_.reg()) {
    case 0: return store_table(SegmentName::gdtr);
    case 1: return store_table(SegmentName::idtr);
    case 2: return load_table(SegmentName::gdtr);
    case 3: return load_table(SegmentName::idtr);
    case 4: return write_operand(size, field(StateField::cr0) & (size == 2 ? 0xffff : 0xffff'ffff));
    default: return fail(vector::UD);
  }
}

// The registers keep what they are given; no breakpoint of the guest's is set.
bool DeprivilegedExecution::debug_register(bool store) {
  const unsigned number = code_.reg() >= 4 && code_.reg() < 6 ? code_.reg() + 2u : code_.reg();
  u64& value = number < 4 ? breakpoints_[number] : number == 6 ? field(StateField::dr6) : field(StateField::dr7);
  if (cpl() != 0) return fail(vector::GP, 0);
  if (store) {
    set_register(code_.operand.rm, 4, value);
  } else {
    value = registers[code_.operand.rm] & 0xffff'ffff;
    if (number == 6) value |= 0xffff'0ff0;
    if (number == 7) value |= 0x400;
  }
  return true;
}

bool DeprivilegedExecution::perform_two_bytes() {
  switch (code_.opcode) {
    case 0x00: return group_6();
    case 0x01: return group_7();
    case 0x02:
    case 0x03: return load_access_rights(code_.opcode == 0x03);
    case 0x20:
      if (cpl() != 0) return fail(vector::GP, 0);
      set_register(code_.operand.rm, 4, field(StateField::cr2));
      return true;
    case 0x22:
      if (cpl() != 0) return fail(vector::GP, 0);
      field(StateField::cr2) = registers[code_.operand.rm] & 0xffff'ffff;
      return true;
    case 0x21:
    case 0x23: return debug_register(code_.opcode == 0x21);
    case 0xa1: return pop_segment(SegmentName::fs);
    case 0xa9: return pop_segment(SegmentName::gs);
    case 0xb2: return load_far_pointer(SegmentName::ss);
    case 0xb4: return load_far_pointer(SegmentName::fs);
    case 0xb5: return load_far_pointer(SegmentName::gs);
    default: return fail(vector::GP, state_.error_code);
  }
}

}  // namespace bunshin::vmm::deprivileged
