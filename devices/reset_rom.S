# What a processor executes after INIT or reset, when software has asked to go on rather than to start the machine
# afresh: CMOS byte 0Fh ("shutdown status", IBM PC AT Technical Reference) says how. The page lies below 4 GiB.
# At entry CS is F000h with base FFFF0000h, so all jumps are near (Intel SDM vol. 3, 9.1.4).

.set cmos_index, 0x70
.set cmos_data, 0x71
.set shutdown_status, 0x8f              # with NMI masked
.set end_interrupt_and_jump, 0x05
.set jump, 0x0a
.set suspended, 0xfe                    # QEMU's value for a wake-up from S3
.set restart_vector, 0x467
.set pm1_status, 0x600                  # devices/acpi_pm.h
.set facs_segment, 0xe000               # devices/acpi_tables.h: FirmwareTables::facs
.set facs_waking_vector, 0x40 + 12      # ACPI 6.4, 5.2.10
.set reset_control, 0xcf9
.set full_reset, 0x06
.set pic_command, 0x20

.section .rodata
.code16
.globl bunshin_reset_rom, bunshin_reset_rom_end
bunshin_reset_rom:
        cli
        xor %ax, %ax
        mov %ax, %ds
        mov $shutdown_status, %al
        out %al, $cmos_index
        in $cmos_data, %al
        mov %al, %ah
        mov $shutdown_status, %al
        out %al, $cmos_index
        xor %al, %al
        out %al, $cmos_data
        cmp $suspended, %ah
        je wait_for_wake_up
        cmp $end_interrupt_and_jump, %ah
        je end_interrupt
        cmp $jump, %ah
        je go_on
        mov $reset_control, %dx
        mov $full_reset, %al
        out %al, %dx
1:      hlt
        jmp 1b
end_interrupt:
        mov $0x20, %al
        out %al, $pic_command
go_on:
        ljmp *restart_vector

# The machine is asleep as long as WAK_STS is clear; ACPI 6.4, 16.3.2 says where it goes on then.
wait_for_wake_up:
        mov $pm1_status, %dx
1:      in %dx, %ax
        test %ah, %ah
        jns 1b
        mov $facs_segment, %ax
        mov %ax, %ds
        mov facs_waking_vector, %ebx
        xor %ax, %ax
        mov %ax, %ds
        mov %bx, %ax
        and $0xf, %ax
        mov %ax, restart_vector
        shr $4, %ebx
        mov %bx, restart_vector + 2
        jmp go_on

.org bunshin_reset_rom + 0xff0
        .byte 0xe9                      # JMP to the page's first byte
        .word 0x10000 - 0xff3
.org bunshin_reset_rom + 0x1000
bunshin_reset_rom_end:

.section .note.GNU-stack, "", @progbits
