#include "guests/conformance_long/machine.h"

namespace guest {

u64 segments[32];
alignas(16) Gate64 gates[256];
TaskState64 task_state;

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags) {
  return (limit & 0xffff) | u64{base & 0xffffff} << 16 | u64{access} << 40 | u64{((limit >> 16) & 15) | flags} << 48 |
         u64{base >> 24} << 56;
}

Gate64 gate(u16 selector, u64 offset, u8 access, unsigned ist) {
  return {(offset & 0xffff) | u64{selector} << 16 | u64{ist} << 32 | u64{access} << 40 | (offset >> 16 & 0xffff) << 48,
          offset >> 32};
}

void restore_gate(unsigned vector) {
  const u64 entry =
      vector < 32 ? reinterpret_cast<u64>(exception_entries) + 16 * vector : reinterpret_cast<u64>(call_entry);
  gates[vector] = gate(code0, entry, vector < 32 ? 0x8e : 0xee);
}

namespace {

void restore_task() {
  u8* const bytes = reinterpret_cast<u8*>(&task_state);
  for (u64 i = 0; i < sizeof task_state; ++i) bytes[i] = 0;
  task_state.rsp[0] = inner_stack;
  for (unsigned i = 0; i < 7; ++i) task_state.ist[i] = other_stack;
  task_state.io_map = sizeof task_state;
}

}  // namespace

void restore_tables() {
  for (const u64 top : {stack0, stack3, inner_stack, other_stack}) {
    for (u64 at = top - 0x80; at < top + 0x40; at += 8) *reinterpret_cast<volatile u64*>(at) = 0;
  }
  for (u64& s : segments) s = 0;
  segments[code0 / 8] = descriptor(0, 0xfffff, 0x9b, 0xa0);
  segments[data0 / 8] = descriptor(0, 0xfffff, 0x93, 0xc0);
  segments[code32 / 8] = descriptor(0, 0xfffff, 0xfb, 0xc0);
  segments[data3 / 8] = descriptor(0, 0xfffff, 0xf3, 0xc0);
  segments[code3 / 8] = descriptor(0, 0xfffff, 0xfb, 0xa0);
  segments[kernel_code32 / 8] = descriptor(0, 0xfffff, 0x9b, 0xc0);
  restore_task();
  segments[task / 8] = descriptor(static_cast<u32>(reinterpret_cast<u64>(&task_state)), sizeof task_state - 1, 0x89, 0);
  for (unsigned vector = 0; vector < 32; ++vector) restore_gate(vector);
  restore_gate(0x80);
  const struct [[gnu::packed]] {
    u16 limit;
    u64 base;
  } gdt{sizeof segments - 1, reinterpret_cast<u64>(segments)}, idt{sizeof gates - 1, reinterpret_cast<u64>(gates)};
  asm volatile(
      "lgdt %0; lidt %1; mov %2, %%ds; mov %2, %%es; mov %2, %%ss; mov %3, %%fs; mov %3, %%gs; lldt %w3; ltr %w4"
      :
      : "m"(gdt), "m"(idt), "r"(u32{data0}), "r"(0), "r"(u32{task})
      : "memory");
}

void run(const void* code, u16 cs, const Arguments& given, u64 flags) {
  arguments = given;
  const bool user = (cs & 3) != 0;
  attempt(code, flags, cs, user ? data3 : data0, user ? stack3 : stack0);
}

void print_outcome(const void* code) {
  if (outcome.ended_well()) return write("ok");
  print("#", Hex{outcome.vector}, "(", Hex{outcome.error}, ") at ");
  const u64 distance = outcome.rip - reinterpret_cast<u64>(code);
  if (distance < 0x40)
    print("+", Hex{distance});
  else
    print(Hex{outcome.cs}, ":", Hex{outcome.rip});
}

void print_short() {
  if (outcome.ended_well()) return write(" .");
  print(" ", Hex{outcome.vector});
  if ((outcome.error & 0xfff8) == slot)
    write("s");
  else if (outcome.error != 0)
    write("t");
}

}  // namespace guest

guest::u32 kernel_main() {
  using namespace guest;
  out8(0x21, 0xff);
  out8(0xa1, 0xff);
  *reinterpret_cast<volatile u16*>(landing) = 0x80cd;
  restore_tables();
  check_long_segments();
  check_long_transfers();
  check_long_events();
  check_system_calls();
  check_long_paging();
  write("end of facts\n");
  return 0;
}
