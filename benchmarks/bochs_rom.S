# An option ROM at 0xD0000 that holds a Multiboot kernel and starts it as a loader would: Bochs has none.
# The runner defines ENTRY, LOAD_ADDRESS, FILE_BYTES and MEMORY_BYTES from the kernel's program header, KERNEL (the file
# with its bytes) or, for what no ROM holds, KERNEL_ADDRESS (where Bochs has put them), and COMMAND_LINE; for a kernel with
# modules also MODULES (a file with their entries), MODULE_COUNT and UPPER_KIB (memory above 1 MiB). It adds padding and the
# checksum.

.set rom_address, 0xd0000
.set multiboot_magic, 0x2badb002
.set information_has_memory, 1
.set information_has_command_line, 4
.set information_has_modules, 8
.set line_control, 0x3fb                    # of the first serial line; 3 is eight bits, no parity

# BIOS Boot Specification 1.01, 3.3: signature, length in units of 512 bytes, entry.
.code16
rom:    .byte 0x55, 0xaa, (rom_end - rom + 1 + 511) / 512
        cli
        cld
        lgdtl %cs:(gdt_pointer - rom)
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $0x08, $(rom_address + protected_mode - rom)

# Writes a register of the chipset's power-management function (PIIX4, device 1, function 3) in PCI configuration space.
.macro set_power_management register, value
        mov $0xcf8, %dx
        mov $0x80000b00 + \register, %eax
        out %eax, %dx
        mov $0xcfc, %dx
        mov $\value, %eax
        out %eax, %dx
.endm

.code32
protected_mode:
        mov $0x10, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %fs
        mov %eax, %gs
        mov %eax, %ss
#ifdef KERNEL
        mov $(rom_address + kernel - rom), %esi
#else
        mov $KERNEL_ADDRESS, %esi
#endif
        mov $LOAD_ADDRESS, %edi
        mov $FILE_BYTES, %ecx
        rep movsb
        mov $3, %al
        mov $line_control, %dx
        out %al, %dx
#ifdef MODULES
        mov $line_control - 0x100, %dx      # the second line
        out %al, %dx
        set_power_management 0x40, 0x601    # PMBA: registers at 600H, as QEMU's firmware puts them
        set_power_management 0x80, 1        # PMREGMISC: enabled
#endif
        xor %eax, %eax
        mov $(MEMORY_BYTES - FILE_BYTES), %ecx
        rep stosb
        mov $multiboot_magic, %eax
        mov $(rom_address + information - rom), %ebx
        mov $ENTRY, %ecx
        jmp *%ecx

# The accessed bits are set: a ROM does not keep what the processor would write.
.align 8
gdt:    .quad 0
        .quad 0x00cf9b000000ffff
        .quad 0x00cf93000000ffff
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long rom_address + gdt - rom

.align 4
information:
#ifdef MODULES
        .long information_has_memory | information_has_command_line | information_has_modules
        .long 640, UPPER_KIB, 0
        .long rom_address + command_line - rom
        .long MODULE_COUNT, rom_address + modules - rom
modules:
        .include MODULES
#else
        .long information_has_command_line, 0, 0, 0
        .long rom_address + command_line - rom
#endif
command_line:
        .asciz COMMAND_LINE
#ifdef KERNEL
kernel: .incbin KERNEL
#endif
rom_end:
