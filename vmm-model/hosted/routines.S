# What the modeled core executes for a hypervisor that is hosted in the simulator: an entry of 64 bytes for each Routine
# (routines.h), ended by a mark that gives the word back to the simulator. It runs where hosted_world.cpp has copied it to, in
# 64-bit mode, all memory mapped at its own address. Operands are in the registers that the instruction itself takes; addresses
# are in RDI.

# NOPL disp32(%rdx,%rdx,8) with the signature of core/engine/mark.h.
.macro done number=0
        .byte 0x0f, 0x1f, 0x84, 0xd2
        .long 0x4e423f00 + \number
.endm

.macro routine instructions:vararg
        .balign 64
        \instructions
        done
.endm

.text
.balign 64
.globl hosted_routines
hosted_routines:
        routine nop
        routine call svm_switch
        routine call vmx_switch
        routine vmxon (%rdi)
        routine vmclear (%rdi)
        routine vmptrld (%rdi)
        routine vmread %rcx, %rax
        routine vmwrite %rax, %rcx
        routine invept (%rdi), %rax
        routine invvpid (%rdi), %rax
        routine mov %cr2, %rax
        routine mov %rax, %cr2

        .balign 64
        mov %rax, %cr0
        mov %rdx, %cr4
        done

        routine invlpga
        routine cpuid
        routine rdmsr
        routine wrmsr
        routine rdtsc
        routine xsetbv
        routine xsave64 (%rdi)
        routine xrstor64 (%rdi)
        routine fxsave64 (%rdi)
        routine fxrstor64 (%rdi)

        .balign 64                          # the debug address registers
        mov %dr0, %rax
        mov %rax, (%rdi)
        mov %dr1, %rax
        mov %rax, 8(%rdi)
        mov %dr2, %rax
        mov %rax, 16(%rdi)
        mov %dr3, %rax
        mov %rax, 24(%rdi)
        done

        .balign 64
        mov (%rdi), %rax
        mov %rax, %dr0
        mov 8(%rdi), %rax
        mov %rax, %dr1
        mov 16(%rdi), %rax
        mov %rax, %dr2
        mov 24(%rdi), %rax
        mov %rax, %dr3
        done

        routine in %dx, %al
        routine in %dx, %ax
        routine in %dx, %eax
        routine out %al, %dx
        routine out %ax, %dx
        routine out %eax, %dx
        routine movl (%rdi), %eax
        routine movl %eax, (%rdi)

        .balign 64                          # what made a guest exit
        sti
        nop
        cli
        done

        .balign 64
        sti
        hlt
        cli
        done

# The interrupt table's entries, reached by no call: the timer's, the one that needs no answer, and a word for each exception.
        .balign 64
        push %rax
        mov $0xfee000b0, %eax               # the local APIC's end of interrupt
        movl $0, (%rax)
        pop %rax
        iretq
        .balign 64
        iretq
.set number, 0
.rept 32
        .balign 64
        push $number
        done 1
        .set number, number + 1
.endr
.balign 64

#include "vmm-model/bare/svm_switch.S"
#include "vmm-model/bare/vmx_switch.S"

.text
.globl hosted_routines_end
hosted_routines_end:
.section .note.GNU-stack, "", @progbits
