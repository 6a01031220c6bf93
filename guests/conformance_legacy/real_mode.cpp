// Real mode: segments with the limits of protected mode, stacks, far calls, IRET (Intel SDM vol. 3, ch. 20).

asm(".code16gcc");

#include "guests/conformance_legacy/legacy.h"

extern "C" char far_return[], far_return_10[];
asm("far_return: lretw\n"
    "far_return_10: lretw $10\n");

namespace guest {

namespace {

u64 flat_table[3] = {0, 0x00cf'9b00'0000'ffff, 0x00cf'9300'0000'ffff};
TablePointer flat_pointer{sizeof(flat_table) - 1, 0};
constexpr u32 beyond = 0x20'0000, pattern = 0x1234'5678;

u32 read_beyond() {
  u32 value;
  asm volatile("movl %%gs:(%1), %0" : "=r"(value) : "r"(beyond));
  return value;
}

void check_limits() {
  flat_pointer.base = address_of(flat_table);
  asm volatile(
      "lgdtl %0; mov %%cr0, %%eax; or $1, %%eax; mov %%eax, %%cr0; mov %w1, %%gs; and $-2, %%eax; mov %%eax, %%cr0"
      :
      : "m"(flat_pointer), "r"(16)
      : "eax", "memory");
  asm volatile("movl %1, %%gs:(%0)" : : "r"(beyond), "r"(pattern) : "memory");
  report("store beyond 1 MiB", read_beyond() == pattern);
  asm volatile("xor %%ax, %%ax; mov %%ax, %%gs" : : : "eax");
  report("limit after a real-mode load", read_beyond() == pattern);
}

void check_stack() {
  u32 value = 0;
  asm volatile("pushw $0x55aa; xor $0x12340000, %%esp; popw %w0; xor $0x12340000, %%esp" : "+r"(value) : : "memory");
  report("upper half of ESP", value == 0x55aa);
  u32 segment;
  asm volatile("mov %%ss, %%dx; mov %%sp, %%cx; pushw $1; popw %%ss; mov %%ss, %%bx; mov %%dx, %%ss; mov %%cx, %%sp"
               : "=b"(segment)
               :
               : "ecx", "edx", "memory");
  report("POP SS", (segment & 0xffff) == 1);
}

void check_interrupts() {
  u32 flags;
  asm volatile(
      "pushfl; popl %%eax; andl $~2, %%eax; orl $0xffc18028, %%eax; pushl %%eax; pushl %%cs; call 1f; jmp 2f\n"
      "1: iretl\n"
      "2: pushfl; popl %0"
      : "=r"(flags)
      :
      : "eax", "memory");
  report("flags of IRET", (flags & 0x1'802a) == 2);
  volatile u32* const vector = reinterpret_cast<u32*>(0x11 * 4);
  volatile u8* const handler = reinterpret_cast<u8*>(0x1000);
  *vector = 0x1000;
  *handler = 0xcf;
  asm volatile("int $0x11" : : : "memory");
  report("INT", true);
}

void check_far_calls() {
  u32 before = 0;
  u32 after = 0;
  asm volatile("mov %%sp, %w1; lcallw $0, $far_return; sub $10, %%sp; lcallw $0, $far_return_10; mov %%sp, %w0"
               : "+r"(after), "+r"(before)
               :
               : "memory");
  report("far calls", before == after);
  const u32 target = address_of(far_return);
  const u32 pointer = (target >> 4) << 16 | (target & 15);
  asm volatile("lcallw *(%0)" : : "r"(&pointer), "m"(pointer) : "memory");
  report("far call through memory", true);
  const TablePointer source{0x10, 0};
  const struct [[gnu::packed]] {
    u32 offset;
    u16 selector;
  } data{0x1234, source.limit};
  u32 offset, selector;
  asm volatile("pushl %%es; les (%2), %0; mov %%es, %1; popl %%es"
               : "=&r"(offset), "=&r"(selector)
               : "r"(&data), "m"(data));
  report("LES", offset == 0x1234 && selector == 0x10);
}

void check_registers() {
  u32 value;
  asm volatile("mov %1, %%dr0; .byte 0x0f, 0x21, 0x00" : "=a"(value) : "r"(0xaced));
  report("MOV from DR0 with mod 0", value == 0xaced);
  u32 expected;
  asm volatile(
      "mov %%cr0, %%ecx; mov %%ecx, %%ebx; or $0x40000000, %%ebx; mov %%ebx, %%cr0; smswl %%eax; mov %%ecx, %%cr0"
      : "=a"(value), "=b"(expected)
      :
      : "ecx");
  report("SMSW", value == expected);
  asm volatile("stc; .byte 0xd6" : "=a"(value) : "a"(0x12345678));
  report("SALC", value == 0x123456ff);
  asm volatile("aad" : "=a"(value) : "a"(0x12345678));
  report("AAD", value == 0x123400d4);
}

}  // namespace

extern "C" [[noreturn]] void kernel_main() {
  check_limits();
  check_stack();
  check_interrupts();
  check_far_calls();
  check_registers();
  finish();
}

}  // namespace guest

// By way of 16-bit protected mode, whose segments have real mode's limits.
asm(R"(
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002, 0, -0x1badb002
        .data
small_table:
        .quad 0, 0x9b000000ffff, 0x93000000ffff
small_pointer:
        .word 23
        .long small_table
        .text
        .code32
        .globl start
start:  cli
        lgdt small_pointer
        ljmp $8, $1f
        .code16gcc
1:      mov $16, %eax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %fs
        mov %ax, %gs
        mov %ax, %ss
        mov %cr0, %eax
        and $-2, %eax
        mov %eax, %cr0
        ljmp $0, $2f
2:      xor %ax, %ax
        mov %ax, %ds
        mov %ax, %es
        mov %ax, %fs
        mov %ax, %gs
        mov %ax, %ss
        mov $stack_top, %esp
        ljmp $0, $kernel_main
        .bss
        .skip 4096
stack_top:
        .text
)");
