# 64-bit mode: a stub for each exception and for INT 80H, and the way into the tested code and back. Tested code ends in
# INT 80H or in an exception; both are recorded in `outcome` and come back to attempt()'s caller.

#include "guests/runtime/saved_registers.inc"

.text
.code64
.globl exception_entries
.align 16
exception_entries:
.set vector, 0
.rept 32
        .align 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        push $0
        .endif
        push $vector
        jmp record
        .set vector, vector + 1
.endr
.globl call_entry
call_entry:
        push $0
        push $0x80
record: push %rax
        push %rcx
        push %rdx
        push %rbx
        push %r11
        mov %ds, %eax
        push %rax
        mov %fs, %eax
        push %rax
        mov %rsp, %rsi
        mov $outcome, %rdi
        mov $14, %ecx
        cld
        rep movsq
        mov %cr2, %rax
        stosq
        mov %ss, %eax
        stosq
        mov %rsp, %rax
        stosq
        mov bench_stack, %rsp
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        push $2
        popfq
        pop_callee_saved
        ret

# void attempt(code, rflags, cs, ss, rsp)
.globl attempt
attempt:
        push_callee_saved
        mov %rsp, bench_stack
        push %rcx
        push %r8
        push %rsi
        push %rdx
        push %rdi
        mov $0x23, %eax                 # data that every level may use
        mov %eax, %ds
        mov %eax, %es
        mov arguments, %rax
        mov arguments + 8, %rcx
        mov arguments + 16, %rdx
        mov arguments + 24, %rbx
        iretq

.bss
.align 16
.globl outcome, bench_stack, arguments
outcome:        .skip 256
bench_stack: .skip 8
arguments:      .skip 32
