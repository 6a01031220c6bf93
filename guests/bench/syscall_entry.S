# The user program of the system-call benchmark, and the kernel's entry that serves it.

.set window, 0x4000000000
.set page_bytes, 4096
.set pages, 8
.set calls_per_round, 32
.set leave, 2                               # number of the call that ends the program

#include "guests/runtime/saved_registers.inc"

.text
.code64

# u64 run_user(u64 rounds, void* stack): the program's sum.
.globl run_user
run_user:
        push_callee_saved
        mov %rsp, kernel_stack
        mov %rdi, %r12
        mov %rsi, %rsp
        mov $user_program, %ecx
        mov $0x2, %r11d
        sysretq

# In: RAX number, RDI argument. Out: RAX. RBX, RBP and R12 to R15 are kept.
.globl bench_system_call_entry
bench_system_call_entry:
        mov %rsp, user_stack_pointer
        mov kernel_stack, %rsp
        cmp $leave, %eax
        je 1f
        push %rcx
        push %r11
        mov %rdi, %rsi
        mov %rax, %rdi
        call serve_system_call
        pop %r11
        pop %rcx
        mov user_stack_pointer, %rsp
        sysretq
1:      mov %rdi, %rax
        pop_callee_saved
        ret

# RBX is the sum. A round: system calls, a touch of every page (each faults once), and the call that unmaps them.
user_program:
        xor %ebx, %ebx
1:      mov $calls_per_round, %r13d
2:      mov %rbx, %rdi
        xor %eax, %eax
        syscall
        lea (%rbx, %rax, 2), %rbx
        dec %r13d
        jnz 2b
        movabs $window, %r14
        mov $pages, %r13d
3:      incq (%r14)
        add (%r14), %rbx
        add $page_bytes, %r14
        dec %r13d
        jnz 3b
        mov %rbx, %rdi
        mov $1, %eax
        syscall
        add %rax, %rbx
        dec %r12
        jnz 1b
        mov %rbx, %rdi
        mov $leave, %eax
        syscall

.bss
.align 8
kernel_stack:       .skip 8
user_stack_pointer: .skip 8
