// Loads of segment registers that the processor refuses a guest in user state, by the rules for the level that it believes in
// (SDM vol. 3, 5.6 and 5.7; vol. 2, MOV).

#include "vmm-model/arch/deprivileged/deprivileged_execution.h"

namespace bunshin::vmm::deprivileged {

namespace {

constexpr u8 not_present = 11, stack_fault = 12;
constexpr u16 code_bit = 8, conforming_bit = 4, second_bit = 2;

}  // namespace

bool DeprivilegedExecution::read_descriptor(u16 selector, u64& descriptor, bool& there) {
  const bool local = (selector & DescriptorTables::table_mask) != 0;
  const SegmentState& table = seg(local ? SegmentName::ldtr : SegmentName::gdtr);
  const u32 offset = selector & 0xfff8;
  there = offset + 7 <= table.limit && (!local || (table.selector & 0xfffc) != 0);
  descriptor = 0;
  if (!there) return true;
  return linear_.read(static_cast<u32>(table.base) + offset, 8, descriptor, false) || page_fault_event();
}

/// What a descriptor says of a segment. Those in tables that are watched need not be read again.
bool DeprivilegedExecution::read_segment(u16 selector, SegmentState& state, bool& there) {
  const bool current = !stale_[(selector & DescriptorTables::table_mask) != 0 ? 1 : 0];
  if (const SegmentState* const known = current ? tables_.state_of(selector) : nullptr) {
    state = *known;
    there = true;
    return true;
  }
  u64 descriptor = 0;
  if (!read_descriptor(selector, descriptor, there)) return false;
  state = segment_of(selector, descriptor);
  if (there && current) tables_.keep_state(state);
  return true;
}

bool DeprivilegedExecution::check_segment(SegmentName name, u16 selector, unsigned level, SegmentState& state) {
  const u32 code = selector & 0xfffcu;
  const bool stack = name == SegmentName::ss;
  if (code == 0) {
    state = {selector, 0, 0, 0};
    return !stack || fail(vector::GP, 0);
  }
  bool there = false;
  if (!read_segment(selector, state, there)) return false;
  const u16 type = state.attributes & (segment::S | code_bit | second_bit);
  const unsigned dpl = state.attributes >> segment::dpl_shift & 3, rpl = selector & 3;
  if (!there || (type & segment::S) == 0) return fail(vector::GP, code);
  if (stack) {
    if (rpl != level || dpl != level || type != (segment::S | second_bit)) return fail(vector::GP, code);
  } else {
    const bool is_code = (type & code_bit) != 0;
    if (is_code && (type & second_bit) == 0) return fail(vector::GP, code);
    const bool conforming = is_code && (state.attributes & conforming_bit) != 0;
    if (!conforming && (dpl < rpl || dpl < level)) return fail(vector::GP, code);
  }
  return (state.attributes & segment::P) != 0 || fail(stack ? stack_fault : not_present, code);
}

bool DeprivilegedExecution::load_segment(SegmentName name, u16 selector) {
  SegmentState state;
  if (!check_segment(name, selector, cpl(), state)) return false;
  change(name) = state;
  return true;
}

bool DeprivilegedExecution::load_far_pointer(SegmentName name) {
  const unsigned size = code_.operand.operand_size;
  u64 offset = 0, selector = 0;
  if (!code_.operand.memory) return fail(vector::UD);
  const u32 at = operand_linear();
  if (!read_linear(at, size, offset) || !read_linear(at + size, 2, selector)) return false;
  if (!load_segment(name, static_cast<u16>(selector))) return false;
  set_register(code_.reg(), size, offset);
  return true;
}

bool DeprivilegedExecution::pop_segment(SegmentName name) {
  u64 selector = 0;
  if (!read_linear(stack_at(0), 2, selector)) return false;
  const u32 mask = stack_mask();
  if (!load_segment(name, static_cast<u16>(selector))) return false;
  const u32 old = static_cast<u32>(registers[rsp]);
  registers[rsp] = (old & ~mask) | ((old + code_.operand.operand_size) & mask);
  return true;
}

}  // namespace bunshin::vmm::deprivileged
