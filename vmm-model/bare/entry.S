# From the Multiboot entry (32-bit protected mode, paging off) to bare_main() in 64-bit mode; then what C++ has no words for:
# the interrupt entries and the world switch's two sides. Order of steps: Intel SDM vol. 3, 9.8.5.

#include "vmm-model/bare/identity_map.inc"

.set multiboot_magic, 0x1badb002
.set multiboot_flags, 0x3                   # modules on page boundaries, memory information

.set efer, 0xc0000080
.set cr0_pg_wp_ne_mp, 0x80010022
.set cr4_pae_osfxsr_osxmmexcpt, 0x620

.section .multiboot, "a"
.align 4
        .long multiboot_magic, multiboot_flags, -(multiboot_magic + multiboot_flags)

.text
.code32
.globl start
start:
        cli
        cld
        mov %eax, %esi
        mov $stack_top, %esp
        movl $(page_directory_pointers + 3), page_map
        build_identity_map 3
        lgdt gdt_pointer
        mov $cr4_pae_osfxsr_osxmmexcpt, %eax
        mov %eax, %cr4
        mov $page_map, %eax
        mov %eax, %cr3
        mov $efer, %ecx
        rdmsr
        or $0x900, %eax                     # NXE, LME
        wrmsr
        mov %cr0, %eax
        or $cr0_pg_wp_ne_mp, %eax
        and $~0x6000000c, %eax              # CD, NW, TS, EM off
        mov %eax, %cr0
        ljmp $0x08, $start64

.code64
start64:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov $0x18, %eax
        ltr %ax
        mov $stack_top, %rsp
        fninit
        mov %esi, %edi                      # magic
        mov %ebx, %esi                      # information
        call bare_main
1:      cli
        hlt
        jmp 1b

# One entry of 16 bytes for each vector: bare_interrupt(vector, error code, rip, cr2). Exceptions do not return.
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

interrupt_common:
        push %rax
        push %rcx
        push %rdx
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        cld
        mov 72(%rsp), %rdi
        mov 80(%rsp), %rsi
        mov 88(%rsp), %rdx
        mov %cr2, %rcx
        call bare_interrupt
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rdx
        pop %rcx
        pop %rax
        add $16, %rsp
        iretq

.data
.align 16
gdt:
        .quad 0
        .quad 0x00af9b000000ffff            # 0x08: 64-bit code
        .quad 0x00cf93000000ffff            # 0x10: data
        .quad 0x0000890000000067            # 0x18: task state, base 0: no stack switch is ever asked for
        .quad 0
gdt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad gdt

.bss
.align 4096
page_map:                .skip 4096
page_directory_pointers: .skip 4096
page_directories:        .skip 4 * 4096
.skip 64 * 1024
.globl stack_top
stack_top:
