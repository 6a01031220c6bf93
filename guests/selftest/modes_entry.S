# Ways out of 64-bit kernel mode and back.

#include "guests/runtime/saved_registers.inc"

.text
.code64

# u32 run_in_code32(): 0x40 is INC EAX there, and a REX prefix here.
.globl run_in_code32
run_in_code32:
        push %rbx
        lea 1f(%rip), %rax
        push $0x30
        push %rax
        lretq
.code32
1:      mov $41, %eax
        .byte 0x40
        ljmp $0x08, $2f
.code64
2:      pop %rbx
        ret

# u32 run_in_code16(): B8 takes two bytes there. Entered at offset 0 of a segment based at code16.
.globl run_in_code16
run_in_code16:
        push %rbx
        xor %eax, %eax
        push $0x38
        push $0
        lretq
.align 16
.globl code16
.code16
code16: mov $0x1233, %ax
        inc %ax
        ljmpl $0x08, $3f
.code64
3:      pop %rbx
        ret

# u64 enter_user(u64 rip, u64 rsp): SYSRET there; returns what RAX holds when it executes SYSCALL.
.globl enter_user
enter_user:
        push_callee_saved
        mov %rsp, kernel_stack
        mov %rdi, %rcx
        mov %rsi, %rsp
        mov $0x2, %r11d
        sysretq

.globl system_call_entry
system_call_entry:
        mov kernel_stack, %rsp
        pop_callee_saved
        ret

# Programs for user mode.
.globl user_system_call, user_privileged, user_interrupt, user_forbidden_interrupt, user_supervisor_page
user_system_call:
        mov %cs, %eax
        syscall
user_privileged:
        cli
        ud2
user_interrupt:
        mov $7, %eax
        int $0x80
        syscall
user_forbidden_interrupt:
        int $0x21
        ud2
user_supervisor_page:
        movabs $0x4000000000, %rax
        mov (%rax), %al
        ud2

.bss
.align 8
kernel_stack: .skip 8
