# From the Multiboot entry (32-bit protected mode, paging off) to kernel_main() in 64-bit mode, and the same way up for a
# further processor that ap_start.S has brought to protected mode. Order of steps: Intel SDM vol. 3, 9.8.5.

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
        mov %eax, boot_magic
        mov %ebx, boot_information
        lgdt gdt_pointer
        mov $boot_stack_top, %esp
        call build_identity_map
        call enter_long_mode
        ljmp $0x08, $start64

# The first 4 GiB in 2 MiB pages, open to user mode.
build_identity_map:
        movl $(page_directory_pointers + 0x7), page_map
        mov $page_directories, %eax
        mov $page_directory_pointers, %edi
        mov $4, %ecx
1:      lea 0x7(%eax), %edx
        mov %edx, (%edi)
        add $4096, %eax
        add $8, %edi
        loop 1b
        mov $0x87, %eax
        mov $page_directories, %edi
        mov $2048, %ecx
2:      mov %eax, (%edi)
        add $0x200000, %eax
        add $8, %edi
        loop 2b
        ret

.globl enter_long_mode
enter_long_mode:
        mov $cr4_pae_osfxsr_osxmmexcpt, %eax
        mov %eax, %cr4
        mov $page_map, %eax
        mov %eax, %cr3
        mov $efer, %ecx
        rdmsr
        or $0x901, %eax                     # NXE, LME, SCE
        wrmsr
        mov %cr0, %eax
        or $cr0_pg_wp_ne_mp, %eax
        and $~0x6000000c, %eax              # CD, NW, TS, EM off
        or $0x2, %eax
        mov %eax, %cr0
        ret

.code64
start64:
        call load_data_segments
        mov $boot_stack_top, %rsp
        call prepare_processor
        call kernel_main
        mov %eax, %edi
        call finish

.globl load_data_segments
load_data_segments:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        xor %eax, %eax
        mov %eax, %fs
        mov %eax, %gs
        ret

.data
.align 16
.globl gdt
gdt:
        .quad 0
        .quad 0x00af9b000000ffff            # 0x08: 64-bit code
        .quad 0x00cf93000000ffff            # 0x10: data
        .quad 0x00cffb000000ffff            # 0x18: user 32-bit code
        .quad 0x00cff3000000ffff            # 0x20: user data
        .quad 0x00affb000000ffff            # 0x28: user 64-bit code
        .quad 0x00cf9b000000ffff            # 0x30: 32-bit code
        .quad 0x008f9b000000ffff            # 0x38: 16-bit code; its base is set by the test that uses it
        .quad 0x00cf13000000ffff            # 0x40: data, not present
        .fill 32, 8, 0                      # 0x48: task state segments, 16 bytes each
gdt_end:
.globl gdt_pointer
gdt_pointer:
        .word gdt_end - gdt - 1
        .quad gdt

# What the loader passed: its magic number and the address of the Multiboot information.
.align 4
.globl boot_magic, boot_information
boot_magic:       .long 0
boot_information: .long 0

.bss
.align 4096
.globl page_map, page_directory_pointers
page_map:                .skip 4096
page_directory_pointers: .skip 4096
page_directories:        .skip 4 * 4096
boot_stack:              .skip 32768
boot_stack_top:
