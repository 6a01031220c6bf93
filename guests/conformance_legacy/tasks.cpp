// Hardware tasks of 32-bit protected mode: far transfers, interrupts and exceptions through task gates, a virtual-8086
// task, conforming code (Intel SDM vol. 3, ch. 7).

#include "guests/conformance_legacy/legacy.h"

namespace guest {

namespace {

/// Intel SDM vol. 3, figure 7-2.
struct TaskState {
  u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
  u32 es, cs, ss, ds, fs, gs, ldt;
  u16 trap, io_map;
};
static_assert(sizeof(TaskState) == 0x68);

constexpr u16 code = 0x08, data = 0x10, user_data = 0x23;
constexpr u16 main_task = 0x30, other_task = 0x38, v86_task = 0x40, second_task = 0x48, conforming_code = 0x53;
constexpr u32 window = 0x80'0000, hole = window + 5 * 4096;

u64 segments[16], gates[256];
TaskState main_state, other_state, v86_state, second_state;
alignas(16) u8 stack[4096];
alignas(4096) u32 directory[1024], table[1024];

void set_descriptor(unsigned selector, u32 base, u32 limit, u8 access, u8 granularity) {
  segments[selector / 8] = (limit & 0xffff) | u64{base & 0xffffff} << 16 | u64{access} << 40 |
                           u64{((limit >> 16) & 15) | granularity} << 48 | u64{base >> 24} << 56;
}

void set_task(unsigned selector, TaskState& state, u8 access) {
  set_descriptor(selector, address_of(&state), sizeof(state) - 1, access, 0);
}

void set_task_gate(unsigned vector, u16 selector) { gates[vector] = u64{selector} << 16 | u64{0x85} << 40; }

void set_interrupt_gate(unsigned vector, const char* handler) {
  const u32 offset = address_of(handler);
  gates[vector] = (offset & 0xffff) | u64{code} << 16 | u64{0x8e} << 40 | u64{offset >> 16} << 48;
}

}  // namespace

}  // namespace guest

extern "C" {
volatile guest::u32 runs, error_code;
void (*task_body)();
extern char plain_task[], task_with_error[], jumping_task[], conforming_task[], count_interrupt[];
}

// A task that IRET leaves goes on behind the IRET when it runs again.
asm(R"(
        .text
plain_task:
        call *task_body
        iret
        jmp plain_task
task_with_error:
        popl error_code
        call *task_body
        iret
        jmp task_with_error
jumping_task:
        call *task_body
        ljmp $0x30, $0
        jmp jumping_task
conforming_task:
        incl runs
        iret
        jmp conforming_task
count_interrupt:
        incl runs
        iret
)");

namespace guest {

namespace {

volatile u32 divisor;
u32 fault_address;

void count() { runs = runs + 1; }
void count_and_set_divisor() {
  count();
  divisor = 10;
}
void count_and_map() {
  count();
  asm volatile("mov %%cr2, %0" : "=r"(fault_address));
  table[5] |= 3;
  asm volatile("invlpg (%0)" : : "r"(hole) : "memory");
}

/// The other task begins at `entry` and does `body`.
void prepare(const char* entry, void (*body)()) {
  other_state.eip = address_of(entry);
  task_body = body;
  runs = 0;
}

void load_tables() {
  set_descriptor(code, 0, 0xfffff, 0x9b, 0xc0);
  set_descriptor(data, 0, 0xfffff, 0x93, 0xc0);
  set_descriptor(user_data, 0, 0xfffff, 0xf3, 0xc0);
  set_descriptor(conforming_code, 0, 0xfffff, 0x9f, 0xc0);
  set_task(main_task, main_state, 0x89);
  set_task(other_task, other_state, 0x89);
  set_task(v86_task, v86_state, 0x8b);
  set_task(second_task, second_state, 0x89);
  set_descriptor(0x58, other_task, 0, 0x85, 0);
  const TablePointer gdt{sizeof(segments) - 1, address_of(segments)};
  const TablePointer idt{sizeof(gates) - 1, address_of(gates)};
  asm volatile(
      "lgdt %0; lidt %1; ljmp $8, $1f\n"
      "1: mov %w2, %%ds; mov %w2, %%es; mov %w2, %%ss; mov %w2, %%fs; mov %w2, %%gs"
      :
      : "m"(gdt), "m"(idt), "r"(u32{data})
      : "memory");
}

void enable_paging() {
  for (u32 i = 0; i < 1024; ++i) {
    directory[i] = i << 22 | 0xe7;
    table[i] = (i * 4096 + window) | 3;
  }
  directory[window >> 22] = address_of(table) | 7;
  table[5] &= ~3u;
  asm volatile(
      "mov %%cr4, %%eax; or $0x10, %%eax; mov %%eax, %%cr4; mov %0, %%cr3; mov %%cr0, %%eax; or $0x80010000, %%eax; "
      "mov %%eax, %%cr0"
      :
      : "r"(directory)
      : "eax", "memory");
}

void prepare_tasks() {
  main_state.cr3 = other_state.cr3 = second_state.cr3 = v86_state.cr3 = address_of(directory);
  main_state.ss0 = other_state.ss0 = data;
  main_state.esp0 = address_of(stack + 2048);
  other_state.esp = other_state.esp0 = address_of(stack + sizeof(stack));
  other_state.cs = code;
  other_state.ss = other_state.ds = other_state.es = other_state.fs = other_state.gs = data;
  other_state.io_map = sizeof(TaskState);
  asm volatile("ltr %w0" : : "r"(u32{main_task}));
}

void check_transfers() {
  prepare(plain_task, count);
  asm volatile("lcall $0x38, $0xf4f4f4f4" : : : "memory");
  report("far call", runs == 1);
  asm volatile("lcall $0x38, $0xf4f4f4f4" : : : "memory");
  report("far call again", runs == 2);
  asm volatile("lcall $0x58, $0" : : : "memory");
  report("far call through a gate", runs == 3);
  prepare(jumping_task, count);
  asm volatile("ljmp $0x38, $0xf4f4f4f4" : : : "memory");
  u32 flags;
  asm volatile("pushf; pop %0" : "=r"(flags));
  report("far jump", runs == 1 && (flags & 0x4000) == 0);
  u32 cr0;
  asm volatile("mov %%cr0, %0; clts" : "=r"(cr0));
  report("CR0.TS", (cr0 & 8) != 0);
}

void check_interrupts() {
  prepare(plain_task, count);
  for (unsigned vector = 2; vector <= 4; ++vector) set_task_gate(vector, other_task);
  asm volatile("int $2" : : : "memory");
  report("INT n", runs == 1);
  asm volatile("int3" : : : "memory");
  report("INT3", runs == 2);
  u32 sum = 127;
  asm volatile("addb $127, %b0; into" : "+a"(sum) : : "memory");
  report("INTO", runs == 3);
  set_interrupt_gate(4, count_interrupt);
  sum = 127;
  asm volatile("addb $127, %b0; addr16 into" : "+a"(sum) : : "memory");
  report("INTO of two bytes", runs == 4);
  prepare(plain_task, count_and_set_divisor);
  set_task_gate(0, other_task);
  u32 quotient = 1500;
  asm volatile("xor %%edx, %%edx; divl %1" : "+a"(quotient) : "m"(divisor) : "edx", "memory");
  report("divide error", runs == 1 && quotient == 150);
  prepare(task_with_error, count_and_map);
  set_task_gate(14, other_task);
  *reinterpret_cast<volatile u8*>(hole + 3) = 1;
  report("page fault", runs == 1 && error_code == 2 && fault_address == hole + 3);
}

/// IRET with NT to a virtual-8086 task, whose first instruction leads back.
void check_virtual_8086() {
  volatile u8* const program = reinterpret_cast<u8*>(0x42000);
  program[0] = 0x0f;
  program[1] = 0x0b;
  asm volatile("ltr %w0" : : "r"(u32{second_task}));
  second_state.link = v86_task;
  v86_state.eflags = 0x2'0002;
  v86_state.cs = 0x4200;
  v86_state.ds = 0x1234;
  set_task_gate(6, second_task);
  asm volatile("pushf; orl $0x4000, (%%esp); popf; iret" : : : "memory", "eax", "ecx", "edx", "ebx", "esi", "edi");
  asm volatile("pushf; andl $~0x4000, (%%esp); popf" : : : "memory");
  report("virtual-8086 task", v86_state.ds == 0x1234 && (v86_state.eflags & 0x2'0000) != 0 && v86_state.eip == 0);
}

void check_conforming_code() {
  prepare(conforming_task, nullptr);
  other_state.cs = conforming_code;
  other_state.ss = other_state.ds = other_state.es = other_state.fs = other_state.gs = user_data;
  other_state.eflags |= 3 << 12;
  asm volatile("lcall $0x38, $0" : : : "memory");
  report("conforming code", runs == 1);
}

}  // namespace

extern "C" [[noreturn]] void kernel_main() {
  load_tables();
  enable_paging();
  prepare_tasks();
  check_transfers();
  check_interrupts();
  check_virtual_8086();
  check_conforming_code();
  finish();
}

}  // namespace guest

asm(R"(
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002
        .text
        .globl start
start:  cli
        mov $stack_top, %esp
        call kernel_main
        .bss
        .skip 8192
stack_top:
        .text
)");
