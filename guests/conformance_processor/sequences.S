# Instruction sequences whose addresses the checks compare, and the way to user mode and back.

#include "guests/runtime/saved_registers.inc"

.text
.code64

# Sets TF for the instructions behind it, and saves the flags without it for `unstep`.
.macro step
        pushfq
        pop %rax
        mov %rax, %rdx
        or $0x100, %eax
        push %rax
        popfq
.endm
.macro unstep
        push %rdx
        popfq
.endm

.macro sequence name
.globl \name
\name:
.endm

sequence step_plainly
        step
        nop
.globl plain_1
plain_1:
        unstep
        ret

sequence step_cpuid_and_in
        push %rbx
        step
        mov %rdx, %r8
        xor %eax, %eax
        cpuid
.globl cpuid_1
cpuid_1:
        mov $0x3fd, %edx
        inb %dx, %al
.globl in_1
in_1:
        push %r8
        popfq
        pop %rbx
        ret

sequence step_behind_sti
        step
        sti
.globl sti_1
sti_1:
        cli
        unstep
        ret

sequence step_behind_mov_ss
        mov %ss, %ecx
        step
        mov %ecx, %ss
        nop
.globl mov_ss_1
mov_ss_1:
        unstep
        ret

sequence int1_behind_mov_ss
        mov %ss, %ecx
        step
        mov %ecx, %ss
        .byte 0xf1
.globl int1_1
int1_1:
        unstep
        ret

sequence general_detect_behind_mov_ss
        mov %ss, %ecx
        xor %esi, %esi
        step
        mov %ecx, %ss
.globl detect_1
detect_1:
        mov %rsi, %dr6
.globl detect_2
detect_2:
        unstep
        ret

# (void* to): three iterations
sequence step_repeated
        mov $3, %ecx
        step
.globl repeated_1
repeated_1:
        rep stosb
.globl repeated_2
repeated_2:
        unstep
        ret

# (u64* watched)
sequence store_watched
        movl $42, (%rdi)
.globl store_1
store_1:
        ret

# (u16* selector, watched for reads)
sequence watched_ss_then_int1
        mov (%rdi), %ss
        .byte 0xf1
        ret
sequence watched_ss_then_int_1
        mov (%rdi), %ss
        int $1
        ret
sequence watched_ss_then_int3
        mov (%rdi), %ss
        int3
.globl int3_1
int3_1:
        ret

sequence break_here
.globl break_1
break_1:
        nop
        ret

sequence jump_to_rdi
.globl jump_1
jump_1:
        jmp *%rdi

# void enter_user_mode(void (*program)(), void* stack)
sequence enter_user_mode
        push_callee_saved
        mov %rsp, user_return_stack
        push $0x23
        push %rsi
        pushfq
        orl $0x3000, (%rsp)
        push $0x2b
        push $1f
        iretq
1:      call *%rdi
        int $0x81
        ud2
.globl user_returned
user_returned:
        pop_callee_saved
        ret

.bss
.globl user_return_stack
user_return_stack: .skip 8
