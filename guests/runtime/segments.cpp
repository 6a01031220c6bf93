#include "guests/runtime/segments.h"

extern "C" guest::u64 gdt[];

namespace guest {

namespace {

constexpr unsigned processors = 16;
constexpr u16 first_task_selector = 0x48;
constexpr u64 stack_bytes = 8192;

/// Intel SDM vol. 3, figure 8-11.
struct [[gnu::packed]] TaskState {
  u32 reserved0;
  u64 rsp[3];
  u64 reserved1;
  u64 ist[7];
  u64 reserved2;
  u16 reserved3;
  u16 io_map;
};

TaskState tasks[processors];
alignas(16) u8 stacks[processors][stack_bytes];
u32 prepared = 0;

}  // namespace

void set_segment_base(u16 selector, u32 base) {
  u64& descriptor = gdt[selector / 8];
  descriptor = (descriptor & 0x00ff'ff00'0000'ffff) | u64{base & 0xff'ffff} << 16 | u64{base >> 24} << 56;
}

void set_kernel_stack(uptr top) { tasks[0].rsp[0] = top; }

}  // namespace guest

void prepare_processor() {
  using namespace guest;
  const u32 index = __atomic_fetch_add(&prepared, 1, __ATOMIC_SEQ_CST) % processors;
  TaskState& task = tasks[index];
  task.rsp[0] = reinterpret_cast<u64>(stacks[index]) + stack_bytes;
  task.io_map = sizeof(TaskState);
  const u64 base = reinterpret_cast<u64>(&task);
  const u16 selector = static_cast<u16>(first_task_selector + 16 * index);
  gdt[selector / 8] = (sizeof(TaskState) - 1) | (base & 0xff'ffff) << 16 | u64{0x89} << 40 | (base >> 24 & 0xff) << 56;
  gdt[selector / 8 + 1] = base >> 32;
  asm volatile("ltr %0" : : "r"(selector));
  load_interrupt_table();
}
