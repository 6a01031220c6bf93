# One entry for each of the 256 vectors; all end in handle_interrupt(Frame*).

.text
.code32
.globl interrupt_entries
.align 16
interrupt_entries:
.set vector, 0
.rept 256
        .align 16
        # Vectors whose exceptions push an error code: Intel SDM vol. 3, table 6-1.
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
        push $0
        .endif
        push $vector
        jmp common_entry
        .set vector, vector + 1
.endr

common_entry:
        pushal
        push %ds
        push %es
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        cld
        mov %esp, %eax
        push %eax
        call handle_interrupt
        add $4, %esp
# The way out by itself, for who has filled a frame at ESP.
.globl return_from_interrupt
return_from_interrupt:
        pop %es
        pop %ds
        popal
        add $8, %esp
        iretl
