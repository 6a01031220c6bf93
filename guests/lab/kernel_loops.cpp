// Loops of operations that only the kernel may do, for the nanobenchmarks (docs/lab_kernel.md).

#include "guests/lab/system_calls.h"

namespace lab {

namespace {

constexpr u16 delay_port = 0x80;

void empty(word count) {
  for (word i = 0; i < count; ++i) asm volatile("");
}

void read_port(word count) {
  for (word i = 0; i < count; ++i) guest::in8(delay_port);
}

/// No such register in 32-bit mode.
void write_cr8(word count) {
  if constexpr (long_mode) {
    for (word i = 0; i < count; ++i) asm volatile("mov %0, %%cr8" : : "r"(word{0}));
  }
}

/// Lets an entry of the running process point to one of two frames in turn. Nobody looks at the page meanwhile, so that the
/// TLB need not hear of it.
void modify_entry(word count) {
  constexpr word first = heap_begin, second = heap_begin + page_bytes;
  AddressSpace& space = current().space;
  volatile word* const entry = space.entry_of(first);
  volatile word* const other = space.entry_of(second);
  if (entry == nullptr || other == nullptr) return;
  const word original = *entry, replacement = *other;
  for (word i = 0; i < count; i += 2) {
    *entry = replacement;
    *entry = original;
  }
  guest::invalidate_page(first);
}

template <class Loop>
u64 cycles(Loop loop, word count) {
  const u64 begin = guest::read_tsc();
  loop(count);
  return guest::read_tsc() - begin;
}

}  // namespace

u64 run_kernel_loop(KernelLoop loop, word count) {
  if (count == 0) return 0;
  switch (loop) {
    case KernelLoop::Empty: return cycles(empty, count);
    case KernelLoop::In: return cycles(read_port, count);
    case KernelLoop::ModifyEntry: return cycles(modify_entry, count);
    case KernelLoop::WriteCr8: return long_mode ? cycles(write_cr8, count) : 0;
  }
  return 0;
}

}  // namespace lab
