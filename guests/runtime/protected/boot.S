# From the Multiboot entry to kernel_main() in 32-bit protected mode with flat segments, paging off.

.set multiboot_magic, 0x1badb002
.set multiboot_flags, 0x3                   # modules on page boundaries, memory information

.section .multiboot, "a"
.align 4
        .long multiboot_magic, multiboot_flags, -(multiboot_magic + multiboot_flags)

.text
.code32
.globl start
start:
        cli
        cld
        mov %eax, boot_magic
        mov %ebx, boot_information
        lgdt gdt_pointer
        ljmp $0x08, $1f
1:      mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        mov $boot_stack_top, %esp
        call prepare_processor
        call kernel_main
        push %eax
        call finish

.data
.align 8
.globl gdt
gdt:
        .quad 0
        .quad 0x00cf9b000000ffff            # 0x08: code
        .quad 0x00cf93000000ffff            # 0x10: data
        .quad 0x00cffb000000ffff            # 0x18: user code
        .quad 0x00cff3000000ffff            # 0x20: user data
        .quad 0                             # 0x28: task state segment
gdt_end:
gdt_pointer:
        .word gdt_end - gdt - 1
        .long gdt

# What the loader passed: its magic number and the address of the Multiboot information.
.align 4
.globl boot_magic, boot_information
boot_magic:       .long 0
boot_information: .long 0

.bss
.align 16
boot_stack: .skip 16384
boot_stack_top:
