# SYSCALL's way in, and the switch from one kernel stack to another.

.set user_data, 0x23
.set user_code, 0x2b
.set system_call_vector, 0x80

#include "guests/runtime/saved_registers.inc"

.text
.code64

# Fills a frame as an interrupt would, so that fork and exec need not know how the kernel was entered. The kernel's stack has
# to be found first; one processor needs no GS for that.
.globl system_call_entry
system_call_entry:
        mov %rsp, user_stack_pointer
        mov system_call_stack, %rsp
        push $user_data
        push user_stack_pointer
        push %r11                           # RFLAGS
        push $user_code
        push %rcx                           # RIP
        push $0
        push $system_call_vector
        push_general
        mov %rsp, %rdi
        call handle_system_call
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        add $8, %rsp                        # R11 is RFLAGS now
        pop %r10
        pop %r9
        pop %r8
        pop %rbp
        pop %rdi
        pop %rsi
        pop %rdx
        add $8, %rsp                        # RCX is RIP now
        pop %rbx
        pop %rax
        mov 16(%rsp), %rcx
        mov 32(%rsp), %r11
        mov 40(%rsp), %rsp
        sysretq

# void switch_stacks(word* save, word load)
.globl switch_stacks
switch_stacks:
        push_callee_saved
        mov %rsp, (%rdi)
        mov %rsi, %rsp
        pop_callee_saved
        ret

.bss
.align 8
user_stack_pointer: .skip 8
.section .note.GNU-stack, "", @progbits
