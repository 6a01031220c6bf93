// Far transfers of a guest in user state: back from handlers, into handlers, between segments (SDM vol. 2, IRET, RET, JMP, CALL,
// INT, SYSENTER, SYSEXIT). Task switches and call gates are not performed: they end as faults, as if not allowed.

#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u8 breakpoint = 3, overflow = 4, not_present = 11;
constexpr u16 privilege = 3;
constexpr u64 nested_task = 1 << 14;

constexpr u64 low(u64 value, unsigned size) { return size == 2 ? value & 0xffff : value & 0xffff'ffff; }

}  // namespace

/// A code segment for `level`: SDM vol. 3, 5.8.1.
bool DeprivilegedExecution::check_code(u16 selector, unsigned level, SegmentState& state) {
  const u32 code = selector & 0xfffcu;
  bool there = false;
  if (code == 0) return fail(vector::GP, 0);
  if (!read_segment(static_cast<u16>((selector & ~u32{privilege}) | level), state, there)) return false;
  constexpr u16 code_segment = segment::S | 8;
  const unsigned dpl = state.attributes >> segment::dpl_shift & 3;
  const bool conforming = (state.attributes & 4) != 0;
  if (!there || (state.attributes & code_segment) != code_segment || (conforming ? dpl > level : dpl != level)) {
    return fail(vector::GP, code);
  }
  return (state.attributes & segment::P) != 0 || fail(not_present, code);
}

bool DeprivilegedExecution::interrupt_return() {
  const unsigned size = code_.operand.operand_size;
  if ((field(StateField::rflags) & nested_task) != 0) return fail(vector::GP, 0);
  std::array<u32, 3> popped{};
  if (!read_stack(size, popped)) return false;
  const u32 eip = popped[0], flags = popped[2];
  const u16 selector = static_cast<u16>(popped[1]);
  // Virtual-8086 mode is not for guests in user state.
  if (size == 4 && cpl() == 0 && (flags & rflags::VM) != 0) return fail(vector::GP, 0);
  const unsigned level = cpl(), target = static_cast<unsigned>(selector & privilege);
  SegmentState cs;
  if (target < level) return fail(vector::GP, static_cast<u32>(selector & 0xfffc));
  if (!check_code(selector, target, cs)) return false;
  if (target > level) {
    if (!return_outward(stack_at(static_cast<i32>(3 * size)), eip, cs, size, 0)) return false;
  } else {
    move_stack(static_cast<i32>(3 * size));
    change(SegmentName::cs) = cs;
    field(StateField::rip) = low(eip, size);
  }
  load_flags(flags, size, level);
  return true;
}

/// To a less privileged level, whose stack is at `at`. Data segments that are not for it become null (SDM vol. 3, 5.8.6).
bool DeprivilegedExecution::return_outward(u32 at, u32 eip, const SegmentState& cs, unsigned size, unsigned extra) {
  const unsigned level = cs.selector & privilege;
  u64 both = 0;
  if (!read_linear(at, 2 * size, both)) return false;
  const u64 esp = low(both, size);
  SegmentState ss;
  if (!check_segment(SegmentName::ss, static_cast<u16>(both >> 8 * size), level, ss)) return false;
  change(SegmentName::cs) = cs;
  change(SegmentName::ss) = ss;
  registers[rsp] = low(esp + extra, size);
  field(StateField::rip) = low(eip, size);
  field(StateField::cpl) = level;
  for (const SegmentName name : {SegmentName::es, SegmentName::ds, SegmentName::fs, SegmentName::gs}) {
    const u16 attributes = seg(name).attributes;
    const bool conforming = (attributes & 0xc) == 0xc;
    const bool for_level = conforming || (attributes >> segment::dpl_shift & 3u) >= level;
    if (!for_level && !(seg(name) == SegmentState{})) change(name) = {};
  }
  return true;
}

bool DeprivilegedExecution::far_return(unsigned extra) {
  const unsigned size = code_.operand.operand_size;
  u64 eip = 0, selector = 0;
  if (!read_linear(stack_at(0), size, eip) || !read_linear(stack_at(static_cast<i32>(size)), 2, selector)) return false;
  const unsigned target = static_cast<unsigned>(selector & privilege);
  SegmentState cs;
  if (target < cpl()) return fail(vector::GP, static_cast<u32>(selector & 0xfffc));
  if (!check_code(static_cast<u16>(selector), target, cs)) return false;
  if (target > cpl()) {
    return return_outward(stack_at(static_cast<i32>(2 * size + extra)), static_cast<u32>(eip), cs, size, extra);
  }
  move_stack(static_cast<i32>(2 * size + extra));
  change(SegmentName::cs) = cs;
  field(StateField::rip) = low(eip, size);
  return true;
}

bool DeprivilegedExecution::far_transfer(u16 selector, u32 offset, bool call) {
  const unsigned size = code_.operand.operand_size;
  SegmentState cs;
  if ((selector & privilege) > cpl()) return fail(vector::GP, selector & 0xfffcu);
  if (!check_code(selector, cpl(), cs)) return false;
  if (call) {
    const u64 back = rip() + code_.length;
    std::array<u8, 8> bytes{};
    const u64 frame = size == 4 ? back | u64{seg(SegmentName::cs).selector} << 32
                                : (back & 0xffff) | u64{seg(SegmentName::cs).selector} << 16;
    for (unsigned i = 0; i < 2 * size; ++i) bytes[i] = static_cast<u8>(frame >> 8 * i);
    const u32 at = stack_at(-static_cast<i32>(2 * size));
    if (!linear_.write(at, std::span(bytes).first(2 * size), cpl() == 3)) return page_fault_event();
    move_stack(-static_cast<i32>(2 * size));
  }
  change(SegmentName::cs) = cs;
  field(StateField::rip) = low(offset, size);
  return true;
}

bool DeprivilegedExecution::far_indirect(bool call) {
  const unsigned size = code_.operand.operand_size;
  u64 offset = 0, selector = 0;
  if (!code_.operand.memory) return fail(vector::UD);
  const u32 at = operand_linear();
  if (!read_linear(at, size, offset) || !read_linear(at + size, 2, selector)) return false;
  return far_transfer(static_cast<u16>(selector), static_cast<u32>(offset), call);
}

// The handler comes back behind the instruction; if there is no way in, the fault is the instruction's own.
bool DeprivilegedExecution::software_interrupt(u8 number) {
  const u64 at = field(StateField::rip);
  advance();
  Exit exit;
  Event event{Event::Kind::Software, number, false, 0};
  if (deliver(event, exit)) return true;
  field(StateField::rip) = at;
  if (exit.reason == ExitReason::PageFault) return page_fault_event();
  return fail(exit.number, exit.error_code);
}

SegmentState DeprivilegedExecution::flat(u16 selector, bool code, unsigned level) const {
  const u16 type = code ? 0xb : 0x3;
  const u16 rights = static_cast<u16>(segment::P | segment::S | segment::G | segment::DB | type);
  return {static_cast<u16>((selector & ~u32{privilege}) | level),
          static_cast<u16>(rights | level << segment::dpl_shift), 0xffff'ffff, 0};
}

bool DeprivilegedExecution::sysenter() {
  const u16 selector = static_cast<u16>(field(StateField::sysenter_cs));
  if ((selector & 0xfffc) == 0) return fail(vector::GP, 0);
  change(SegmentName::cs) = flat(selector, true, 0);
  change(SegmentName::ss) = flat(static_cast<u16>(selector + 8), false, 0);
  registers[rsp] = field(StateField::sysenter_esp) & 0xffff'ffff;
  field(StateField::rip) = field(StateField::sysenter_eip) & 0xffff'ffff;
  field(StateField::rflags) &= ~(rflags::IF | rflags::VM | rflags::RF);
  field(StateField::cpl) = 0;
  return true;
}

bool DeprivilegedExecution::sysexit() {
  const u16 selector = static_cast<u16>(field(StateField::sysenter_cs));
  if ((selector & 0xfffc) == 0 || cpl() != 0) return fail(vector::GP, 0);
  change(SegmentName::cs) = flat(static_cast<u16>(selector + 16), true, 3);
  change(SegmentName::ss) = flat(static_cast<u16>(selector + 24), false, 3);
  registers[rsp] = registers[rcx] & 0xffff'ffff;
  field(StateField::rip) = registers[rdx] & 0xffff'ffff;
  field(StateField::cpl) = 3;
  return true;
}

bool DeprivilegedExecution::near_return() {
  const u32 base = static_cast<u32>(seg(SegmentName::cs).base), at = base + rip();
  const unsigned size = code_.operand.operand_size;
  u64 target = 0;
  if (!read_linear(stack_at(0), size, target)) return false;
  scanner_.branch_taken(at, base + static_cast<u32>(target), base, code_bits(), CodeScanner::Targets::Any);
  move_stack(static_cast<i32>(size + (code_.is(0, 0xc2) ? code_.immediate : 0)));
  scanner_.prepare_returns(stack_at(0), 1, base, code_bits());
  field(StateField::rip) = low(target, size);
  return true;
}

// A branch that the scanner has let trap: a direct one runs by itself from now on, an indirect one is performed.
bool DeprivilegedExecution::branch() {
  if (is_return(code_)) return near_return();
  const u32 base = static_cast<u32>(seg(SegmentName::cs).base), at = base + rip();
  const Flow flow = flow_of(code_);
  const unsigned size = code_.operand.operand_size;
  if (flow != Flow::Indirect && flow != Flow::IndirectCall) {
    const u32 offset = rip() + code_.length + static_cast<u32>(code_.displacement());
    scanner_.branch_taken(at, base + static_cast<u32>(low(offset, size)), base, code_bits(), CodeScanner::Targets::One);
    return true;
  }
  u64 target = 0;
  if (!read_operand(size, target)) return false;
  const Instruction& from = code_.operand;
  const bool few = from.memory && from.base < 0;
  scanner_.branch_taken(at, base + static_cast<u32>(target), base, code_bits(),
                        few ? CodeScanner::Targets::Few : CodeScanner::Targets::Any);
  if (flow == Flow::Indirect) scanner_.prepare_returns(stack_at(0), 1, base, code_bits());
  if (flow == Flow::IndirectCall && !push(size, rip() + code_.length)) return false;
  field(StateField::rip) = low(target, size);
  return true;
}

bool DeprivilegedExecution::perform_one_byte() {
  const u8 opcode = code_.opcode;
  switch (opcode) {
    case 0xcc: return software_interrupt(breakpoint);
    case 0xcd: return software_interrupt(static_cast<u8>(code_.immediate));
    case 0xce:
      if ((field(StateField::rflags) & rflags::OF) != 0) return software_interrupt(overflow);
      advance();
      return true;
    case 0xcf: return interrupt_return();
    case 0xca: return far_return(static_cast<unsigned>(code_.immediate));
    case 0xcb: return far_return(0);
    case 0x9a:
    case 0xea: return far_transfer(code_.selector, static_cast<u32>(code_.immediate), opcode == 0x9a);
    case 0xff: return far_indirect(code_.reg() == 3);
    default: break;
  }
  bool done = false;
  switch (opcode) {
    case 0x07: done = pop_segment(SegmentName::es); break;
    case 0x17: done = pop_segment(SegmentName::ss); break;
    case 0x1f: done = pop_segment(SegmentName::ds); break;
    case 0x0e: done = push(code_.operand.operand_size, seg(SegmentName::cs).selector); break;
    case 0x16: done = push(code_.operand.operand_size, seg(SegmentName::ss).selector); break;
    case 0x9c: done = push_flags(); break;
    case 0x9d: done = pop_flags(); break;
    case 0xfa: done = set_interrupt_flag(false); break;
    case 0xfb: done = set_interrupt_flag(true); break;
    case 0xc4: done = load_far_pointer(SegmentName::es); break;
    case 0xc5: done = load_far_pointer(SegmentName::ds); break;
    case 0x8b: done = load_stack(); break;
    case 0x8c: {
      const unsigned size = code_.operand.memory ? 2 : code_.operand.operand_size;
      done = write_operand(size, seg(static_cast<SegmentName>(code_.reg())).selector);
      break;
    }
    case 0x8e: {
      u64 selector = 0;
      if (code_.reg() == 1 || code_.reg() > 5) return fail(vector::UD);
      done =
          read_operand(2, selector) && load_segment(static_cast<SegmentName>(code_.reg()), static_cast<u16>(selector));
      break;
    }
    default: return fail(vector::GP, state_.error_code);
  }
  const bool opens = opcode == 0xfb;
  if (done) {
    const u64 shadow = opens ? field(StateField::interrupt_shadow) : 0;
    advance();
    field(StateField::interrupt_shadow) = shadow;
  }
  return done;
}

bool DeprivilegedExecution::perform() {
  if (code_.map == 0) return perform_one_byte();
  if (code_.is(1, 0x34)) return sysenter();
  if (code_.is(1, 0x35)) return sysexit();
  if (!perform_two_bytes()) return false;
  advance();
  return true;
}

// The instruction is decoded anew: what its own rewriting, or that of its page, has changed since does not matter.
Event DeprivilegedExecution::complete(const Exit& exit) {
  fault_ = {};
  if (exit.reason == ExitReason::IndirectBranch) {
    branch();
  } else {
    perform();
  }
  return fault_;
}

}  // namespace bunshin::vmm::deprivileged
