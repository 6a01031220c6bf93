// String instructions. A repeated one goes on as long as its operands stay in the pages that they were in: the processor itself
// finds what the next page is, so that a copy from a device goes on by itself where both ends are RAM.

#include "vmm-model/emulate/emulation.h"

namespace bunshin::vmm {

namespace {

constexpr u64 page_of(u64 address) { return address >> 12; }

bool reads_source(Operation operation) {
  return operation == Operation::MoveString || operation == Operation::LoadString ||
         operation == Operation::CompareString;
}

bool compares(Operation operation) {
  return operation == Operation::CompareString || operation == Operation::ScanString;
}

}  // namespace

void Emulation::advance(Gpr pointer) {
  const u64 step = (cpu_.flags & rflags::DF) != 0 ? u64{0} - insn_.operand_size : insn_.operand_size;
  set_accumulator(pointer, insn_.address_size, masked(cpu_.registers[pointer] + step));
}

bool Emulation::same_pages(u64 source, u64 target) const {
  return page_of(source) == page_of(masked(cpu_.registers[rsi])) &&
         page_of(target) == page_of(masked(cpu_.registers[rdi]));
}

/// `first`: of those in these pages.
bool Emulation::string_step(bool first) {
  const unsigned size = insn_.operand_size;
  const u64 mask = cpu_.code_bits == 64 ? ~u64{0} : 0xffff'ffff;
  const u64 source_offset = masked(cpu_.registers[rsi]), target_offset = masked(cpu_.registers[rdi]);
  const u64 source_at = (cpu_.segment_base[static_cast<unsigned>(insn_.segment)] + source_offset) & mask;
  const u64 target_at = (cpu_.segment_base[static_cast<unsigned>(SegmentName::es)] + target_offset) & mask;
  const bool from_memory = reads_source(insn_.operation), to_memory = insn_.operation != Operation::LoadString;
  const bool writes = to_memory && !compares(insn_.operation);
  u64 value = accumulator(rax, size);
  // Both must be accessible before a device gives what would be lost otherwise.
  const bool both = first && from_memory && to_memory;
  if (from_memory && !access_.in_segment(insn_.segment, source_offset, size, false)) return false;
  if (both && !access_.permits(source_at, size, Intent::Read)) return false;
  if (to_memory && !access_.in_segment(SegmentName::es, target_offset, size, writes)) return false;
  if (both && !access_.permits(target_at, size, writes ? Intent::Modify : Intent::Read)) return false;
  if (from_memory && !access_.read(source_at, size, value, Intent::Read)) return false;
  if (writes && !access_.write(target_at, size, value)) return false;
  if (compares(insn_.operation)) {
    u64 other = 0, flags = cpu_.flags;
    if (!access_.read(target_at, size, other, Intent::Read)) return false;
    arithmetic(Operation::Cmp, value, other, size, flags);
    cpu_.flags = flags;
  }
  if (insn_.operation == Operation::LoadString) set_accumulator(rax, size, value);
  if (from_memory) advance(rsi);
  if (to_memory) advance(rdi);
  return true;
}

bool Emulation::string() {
  if (!insn_.repeat) return string_step(true);
  const u64 source = masked(cpu_.registers[rsi]), target = masked(cpu_.registers[rdi]);
  const bool single_step = (cpu_.flags & rflags::TF) != 0;
  for (unsigned i = 0; i < max_iterations; ++i) {
    const u64 left = masked(cpu_.registers[rcx]);
    if (left == 0) return true;
    if (!string_step(i == 0)) return false;
    set_accumulator(rcx, insn_.address_size, left - 1);
    const bool equal = (cpu_.flags & rflags::ZF) != 0;
    if (left == 1 || (compares(insn_.operation) && equal == insn_.repeat_different)) return true;
    if (single_step || !same_pages(source, target)) break;
  }
  again_ = true;
  return true;
}

}  // namespace bunshin::vmm
