# 32-bit protected mode: entry, one stub for each exception and for INT 80H, and the way into the tested code and back.
# Tested code ends in INT 80H or in an exception; both are recorded in `outcome` and come back to attempt()'s caller.

.section .multiboot, "a"
.align 4
        .long 0x1badb002, 0, -0x1badb002

.text
.code32
.globl start
start:  cli
        cld
        mov $stack_top, %esp
        call kernel_main
1:      hlt
        jmp 1b

# Vectors whose exceptions push an error code: Intel SDM vol. 3, table 6-1.
.globl exception_entries
.align 16
exception_entries:
.set vector, 0
.rept 32
        .align 16
        .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17)
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
# Stacks of tested code lie below 64 KiB in segments with base 0, so ESP is a linear address whatever the stack's size.
record: pushal
        push %ds
        push %es
        push %fs
        push %gs
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        movzwl %sp, %esi
        mov $outcome, %edi
        mov $28, %ecx
        cld
        rep movsl
        str %ax
        movzwl %ax, %eax
        stosl
        mov %cr2, %eax
        stosl
        mov %ss, %eax
        stosl
        mov $0x10, %eax
        mov %eax, %ss
        mov recovery_stack, %esp
        mov %eax, %fs
        mov %eax, %gs
        push $2
        popf
        pop %ebp
        pop %edi
        pop %esi
        pop %ebx
        ret

# void attempt(code, eflags, cs, ss, esp): level 0 by a jump, other levels and virtual-8086 mode by IRET. EAX, ECX, EDX and
# EBX are those of `arguments`.
.globl attempt
attempt:
        push %ebx
        push %esi
        push %edi
        push %ebp
        mov %esp, recovery_stack
        mov 20(%esp), %esi              # code
        mov 24(%esp), %edi              # eflags
        mov 28(%esp), %ebp              # cs
        mov 32(%esp), %eax              # ss
        mov 36(%esp), %edx              # esp
        test $0x20000, %edi
        jnz 3f
        test $3, %ebp
        jnz 2f
        mov %edx, %esp
        push %edi
        popf
        jmp 4f
3:      pushl $0                        # GS, FS, DS, ES of a virtual-8086 program
        pushl $0
        pushl $0
        pushl $0
2:      push %eax
        push %edx
        push %edi
        push %ebp
        push %esi
        mov $0x23, %eax                 # data that every level may use
        mov %eax, %ds
        mov %eax, %es
        call load_arguments
        iret
4:      call load_arguments
        jmp *%esi
load_arguments:
        mov arguments + 4, %ecx
        mov arguments + 8, %edx
        mov arguments + 12, %ebx
        mov arguments, %eax
        ret

.bss
.align 16
.globl outcome, recovery_stack, arguments
outcome:        .skip 128
recovery_stack: .skip 4
arguments:      .skip 16
        .skip 16384
stack_top:
