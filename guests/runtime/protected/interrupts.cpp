// The interrupt table and the task state segment of a 32-bit kernel.

#include "guests/runtime/interrupts.h"

#include "guests/runtime/console.h"
#include "guests/runtime/segments.h"

extern "C" {
extern char interrupt_entries[];
extern guest::u64 gdt[];
void handle_interrupt(guest::Frame* frame);
}

namespace guest {

namespace {

constexpr unsigned vectors = 256, entry_bytes = 16;
constexpr u16 task_selector = 0x28;

/// Intel SDM vol. 3, figure 6-2.
struct Gate {
  u16 offset_low, selector;
  u8 reserved, type;
  u16 offset_high;
};

/// Intel SDM vol. 3, figure 7-2: as far as a kernel without hardware tasks uses it.
struct TaskState {
  u32 link, esp0, ss0;
  u32 other[22];
  u16 trap, io_map;
};
static_assert(sizeof(TaskState) == 104);

alignas(8) Gate idt[vectors];
Handler handlers[vectors];
TaskState task;

}  // namespace

void load_interrupt_table() {
  for (unsigned vector = 0; vector < vectors; ++vector) {
    const u32 entry = reinterpret_cast<u32>(interrupt_entries) + entry_bytes * vector;
    idt[vector] = {static_cast<u16>(entry), code_selector, 0, 0x8e, static_cast<u16>(entry >> 16)};
  }
  const struct [[gnu::packed]] {
    u16 limit;
    u32 base;
  } pointer{sizeof(idt) - 1, reinterpret_cast<u32>(idt)};
  asm volatile("lidt %0" : : "m"(pointer));
}

uptr interrupt_table() { return reinterpret_cast<uptr>(idt); }

void set_handler(unsigned vector, Handler handler) { handlers[vector] = handler; }

void set_gate_privilege(unsigned vector, unsigned dpl) { idt[vector].type = static_cast<u8>(0x8e | dpl << 5); }

void set_kernel_stack(uptr top) { task.esp0 = top; }

}  // namespace guest

void prepare_processor() {
  using namespace guest;
  task.ss0 = data_selector;
  task.io_map = sizeof(TaskState);
  const u64 base = reinterpret_cast<u32>(&task);
  gdt[task_selector / 8] =
      (sizeof(TaskState) - 1) | (base & 0xff'ffff) << 16 | u64{0x89} << 40 | (base >> 24 & 0xff) << 56;
  asm volatile("ltr %0" : : "r"(task_selector));
  load_interrupt_table();
}

void handle_interrupt(guest::Frame* frame) {
  using namespace guest;
  if (const Handler handler = handlers[frame->vector]) return handler(*frame);
  print("unexpected interrupt ", frame->vector, " error ", Hex{frame->error}, " at ", Hex{frame->rip}, " cr2 ",
        Hex{read_cr2()}, "\n");
  finish(0x7f);
}
