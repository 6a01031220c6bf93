# From the Multiboot entry (32-bit protected mode, paging off) to bare_main() with PAE paging; then what C++ has no words for:
# the interrupt entries.

#include "vmm-model/bare/identity_map.inc"

.set multiboot_magic, 0x1badb002
.set multiboot_flags, 0x3                   # modules on page boundaries, memory information

.set efer, 0xc0000080
.set cr0_pg_wp_ne_mp, 0x80010022
.set cr4_pae_pge_osfxsr_osxmmexcpt, 0x6a0
.set task_state, 0xf7e02800                 # in the switch area (user_state.h)

.section .multiboot, "a"
.align 4
        .long multiboot_magic, multiboot_flags, -(multiboot_magic + multiboot_flags)

.text
.code32
.globl start
start:
        cli
        cld
        mov %eax, %esi                      # magic
        mov %ebx, %ebp                      # information
        mov $stack_top, %esp
        build_identity_map 1                # the other bits are reserved here
        call enable_execute_disable
        lgdt gdt_pointer
        mov $cr4_pae_pge_osfxsr_osxmmexcpt, %eax
        mov %eax, %cr4
        mov $page_directory_pointers, %eax
        mov %eax, %cr3
        mov %cr0, %eax
        or $cr0_pg_wp_ne_mp, %eax
        and $~0x6000000c, %eax              # CD, NW, TS, EM off
        mov %eax, %cr0
        ljmp $0x08, $1f
1:      mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov $0x18, %eax
        ltr %ax
        fninit
        push $0                             # information, 64 bits
        push %ebp
        push %esi
        call bare_main
1:      cli
        hlt
        jmp 1b

# EFER.NXE where CPUID.80000001H:EDX has NX.
enable_execute_disable:
        mov $0x80000000, %eax
        cpuid
        cmp $0x80000001, %eax
        jb 1f
        mov $0x80000001, %eax
        cpuid
        bt $20, %edx
        jnc 1f
        mov $efer, %ecx
        rdmsr
        or $0x800, %eax
        wrmsr
1:      ret

# One entry of 16 bytes for each vector: bare_interrupt(vector, error code, eip, cr2). Exceptions do not return.
.align 16
.globl interrupt_entries
interrupt_entries:
.set number, 0
.rept 256
        .align 16
        .if number == 8 || (number >= 10 && number <= 14) || number == 17 || number == 21
        .else
        push $0
        .endif
        push $number
        jmp interrupt_common
        .set number, number + 1
.endr

# The way from the switch area's entries too, for events that did not interrupt a guest.
.globl interrupt_common
interrupt_common:
        push %eax
        push %ecx
        push %edx
        cld
        mov %cr2, %eax
        push %eax
        push 24(%esp)                       # eip
        push 24(%esp)                       # error code
        push 24(%esp)                       # vector
        call bare_interrupt
        add $16, %esp
        pop %edx
        pop %ecx
        pop %eax
        add $8, %esp
        iret

.data
.align 16
gdt:
        .quad 0
        .quad 0x00cf9b000000ffff            # 0x08: code
        .quad 0x00cf93000000ffff            # 0x10: data
        .word 0x67, task_state & 0xffff     # 0x18: task state
        .byte task_state >> 16 & 0xff, 0x89, 0, task_state >> 24
gdt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .long gdt

.bss
.align 4096
.globl page_directory_pointers, page_directories
page_directory_pointers: .skip 4096
page_directories:        .skip 4 * 4096
.skip 64 * 1024
.globl stack_top
stack_top:
.section .note.GNU-stack, "", @progbits
