# One entry for each of the 256 vectors; all end in handle_interrupt(Frame*). And try_call(), which comes back when the
# called function raises an exception.

#include "guests/runtime/saved_registers.inc"

.text
.code64
.globl interrupt_entries
.align 16
interrupt_entries:
.set vector, 0
.rept 256
        .align 16
        # Vectors whose exceptions push an error code: Intel SDM vol. 3, table 6-1; AMD APM vol. 2, 8.2 (#SX).
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 30)
        push $0
        .endif
        push $vector
        jmp common_entry
        .set vector, vector + 1
.endr

common_entry:
        push_general
        cld
        mov %rsp, %rdi
        call handle_interrupt
# The way out by itself, for who has filled a frame at RSP.
.globl return_from_interrupt
return_from_interrupt:
        pop_general
        add $16, %rsp
        iretq

# void try_call(void (*function)(u64), u64 argument)
.globl try_call, try_recover
try_call:
        push_callee_saved
        sub $8, %rsp
        mov %rsp, recovery_stack
        mov %rdi, %rax
        mov %rsi, %rdi
        call *%rax
try_recover:
        movq $0, recovery_stack
        add $8, %rsp
        pop_callee_saved
        ret

.bss
.align 8
.globl recovery_stack
recovery_stack: .skip 8
