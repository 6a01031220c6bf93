#include "guests/conformance_protected/machine.h"

namespace guest {

u64 segments[32], gates[256], local_segments[8];
TaskState main_state, other_state;
TaskState16 other_state16;

namespace {

struct [[gnu::packed]] TablePointer {
  u16 limit;
  u32 base;
};

void put(char c) {
  constexpr u16 com1 = 0x3f8, line_status = com1 + 5;
  constexpr u8 transmitter_empty = 0x20;
  u8 status;
  do asm volatile("inb %1, %0" : "=a"(status) : "Nd"(line_status));
  while ((status & transmitter_empty) == 0);
  asm volatile("outb %0, %1" : : "a"(c), "Nd"(com1));
}

template <class T>
void clear(T& object) {
  u8* bytes = reinterpret_cast<u8*>(&object);
  for (u32 i = 0; i < sizeof(T); ++i) bytes[i] = 0;
}

void restore_tasks() {
  clear(main_state);
  clear(other_state);
  clear(other_state16);
  main_state.ss0 = other_state.ss0 = data0;
  main_state.esp0 = inner_stack;
  main_state.ss1 = other_state.ss1 = data1;
  main_state.esp1 = stack1;
  main_state.io_map = other_state.io_map = 0x88;
  other_state.esp0 = inner_stack;
  other_state.eip = landing;
  other_state.eflags = 2;
  other_state.cs = code0;
  other_state.ss = other_state.ds = other_state.es = other_state.fs = other_state.gs = data0;
  other_state.esp = task_stack;
  other_state16.sp0 = inner_stack;
  other_state16.ip = landing;
  other_state16.flags = 2;
  other_state16.cs = code0;
  other_state16.ss0 = other_state16.ds = other_state16.es = data0;
  other_state16.ss = data16;  // what the upper half of ESP becomes is undefined (table 7-1 leaves it open)
  other_state16.sp = task_stack;
}

}  // namespace

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags) {
  return (limit & 0xffff) | u64{base & 0xffffff} << 16 | u64{access} << 40 | u64{((limit >> 16) & 15) | flags} << 48 |
         u64{base >> 24} << 56;
}

u64 gate(u16 selector, u32 offset, u8 access, unsigned parameters) {
  return (offset & 0xffff) | u64{selector} << 16 | u64{parameters} << 32 | u64{access} << 40 | u64{offset >> 16} << 48;
}

void restore_gate(unsigned vector) {
  const u32 entry = vector < 32 ? address_of(exception_entries) + 16 * vector : address_of(call_entry);
  gates[vector] = gate(code0, entry, vector < 32 ? 0x8e : 0xee);
}

void restore_tables() {
  // Frames that are printed must not show what somebody else left there.
  for (const u32 top : {stack0, stack1, stack3, task_stack, inner_stack}) {
    for (u32 at = top - 0x80; at < top + 0x40; at += 4) *reinterpret_cast<volatile u32*>(at) = 0;
  }
  for (u64& s : segments) s = 0;
  for (u64& s : local_segments) s = 0;
  segments[code0 / 8] = descriptor(0, 0xfffff, 0x9b, 0xc0);
  segments[data0 / 8] = descriptor(0, 0xfffff, 0x93, 0xc0);
  segments[code3 / 8] = descriptor(0, 0xfffff, 0xfb, 0xc0);
  segments[data3 / 8] = descriptor(0, 0xfffff, 0xf3, 0xc0);
  segments[code1 / 8] = descriptor(0, 0xfffff, 0xbb, 0xc0);
  segments[data1 / 8] = descriptor(0, 0xfffff, 0xb3, 0xc0);
  segments[code16 / 8] = descriptor(0, 0xffff, 0x9b, 0);
  segments[data16 / 8] = descriptor(0, 0xffff, 0x93, 0);
  restore_tasks();
  segments[main_task / 8] = descriptor(address_of(&main_state), sizeof(TaskState) - 1, 0x89, 0);
  segments[other_task / 8] = descriptor(address_of(&other_state), 0x67, 0x89, 0);
  segments[local_table / 8] = descriptor(address_of(local_segments), sizeof local_segments - 1, 0x82, 0);
  for (unsigned vector = 0; vector < 32; ++vector) restore_gate(vector);
  restore_gate(0x80);
  const TablePointer gdt{sizeof segments - 1, address_of(segments)};
  const TablePointer idt{sizeof gates - 1, address_of(gates)};
  asm volatile(
      "lgdt %0; lidt %1; ljmp $8, $1f; 1: mov %w2, %%ds; mov %w2, %%es; mov %w2, %%ss; mov %w2, %%fs; mov %w2, %%gs;"
      "lldt %w3; ltr %w4; clts"
      :
      : "m"(gdt), "m"(idt), "r"(u32{data0}), "r"(u32{local_table}), "r"(u32{main_task})
      : "memory");
}

void run(const void* code, unsigned level, const Arguments& given, u32 flags) {
  arguments = given;
  if (level == 0) return attempt(code, flags, code0, data0, stack0);
  if (level == 1) return attempt(code, flags, code1, data1, stack1);
  attempt(code, flags, code3, data3, stack3);
}

void run_8086(u16 segment, u16 offset, u32 flags) {
  attempt(reinterpret_cast<const void*>(u32{offset}), flags | 0x20002, segment, 0, stack3);
}

void write(const char* text) {
  for (; *text != 0; ++text) put(*text);
}

void write(Hex v) {
  bool leading = true;
  for (int shift = 28; shift >= 0; shift -= 4) {
    const unsigned digit = v.value >> shift & 15;
    leading = leading && digit == 0 && shift != 0;
    if (!leading) put("0123456789abcdef"[digit]);
  }
}

void print_outcome(const void* code) {
  if (outcome.ended_well()) return write("ok");
  print("#", Hex{outcome.vector}, "(", Hex{outcome.error}, ") at ");
  const u32 distance = outcome.eip - address_of(code);
  if (distance < 0x100)
    print("+", Hex{distance});
  else
    print(Hex{outcome.cs}, ":", Hex{outcome.eip});
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

extern "C" void kernel_main() {
  using namespace guest;
  // The firmware's timer must not tick into the tests: both 8259As masked.
  asm volatile("outb %0, $0x21; outb %0, $0xa1" : : "a"(u8{0xff}));
  *reinterpret_cast<volatile u16*>(landing) = 0x80cd;
  restore_tables();
  check_segments();
  check_transfers();
  check_events();
  check_tasks();
  check_virtual_8086();
  check_debugging();
  write("end of facts\n");
  asm volatile("outl %0, $0xf4" : : "a"(0));
}
