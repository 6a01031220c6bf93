#include "guests/runtime/interrupts.h"

#include "guests/runtime/console.h"
#include "guests/runtime/segments.h"

extern "C" {
extern char interrupt_entries[];
extern char try_recover[];
extern guest::u64 recovery_stack;
void try_call(void (*function)(guest::u64), guest::u64 argument);
void handle_interrupt(guest::Frame* frame);
}

namespace guest {

namespace {

constexpr unsigned vectors = 256, exceptions = 32;
constexpr u64 entry_bytes = 16, trap_flag = 0x100;

/// Intel SDM vol. 3, figure 6-8.
struct Gate {
  u16 offset_low, selector;
  u8 stack, type;
  u16 offset_middle;
  u32 offset_high, reserved;
};

alignas(16) Gate idt[vectors];
Handler handlers[vectors];
Exception last;

void fill_table() {
  for (unsigned vector = 0; vector < vectors; ++vector) {
    const u64 entry = reinterpret_cast<u64>(interrupt_entries) + entry_bytes * vector;
    idt[vector] = {static_cast<u16>(entry),
                   code_selector,
                   0,
                   0x8e,
                   static_cast<u16>(entry >> 16),
                   static_cast<u32>(entry >> 32),
                   0};
  }
}

}  // namespace

void load_interrupt_table() {
  if (idt[0].selector == 0) fill_table();
  const struct [[gnu::packed]] {
    u16 limit;
    u64 base;
  } pointer{sizeof(idt) - 1, reinterpret_cast<u64>(idt)};
  asm volatile("lidt %0" : : "m"(pointer));
}

uptr interrupt_table() { return reinterpret_cast<uptr>(idt); }

void set_handler(unsigned vector, Handler handler) { handlers[vector] = handler; }

void set_gate_privilege(unsigned vector, unsigned dpl) { idt[vector].type = static_cast<u8>(0x8e | dpl << 5); }

Exception attempt(void (*function)(u64), u64 argument) {
  last = {};
  try_call(function, argument);
  return last;
}

}  // namespace guest

void handle_interrupt(guest::Frame* frame) {
  using namespace guest;
  if (const Handler handler = handlers[frame->vector]) return handler(*frame);
  if (frame->vector < exceptions && recovery_stack != 0) {
    last = {true, frame->vector, frame->error, frame->rip, read_cr2()};
    frame->rip = reinterpret_cast<u64>(try_recover);
    frame->rsp = recovery_stack;
    frame->cs = code_selector;
    frame->ss = data_selector;
    frame->rflags &= ~trap_flag;
    return;
  }
  print("unexpected interrupt ", frame->vector, " error ", Hex{frame->error}, " at ", Hex{frame->rip}, " cr2 ",
        Hex{read_cr2()}, "\n");
  finish(0x7f);
}
